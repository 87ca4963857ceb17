"""The export job: writes programs, weights, measurements and a model card of a checkpoint."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from torch import Tensor

from vgg_lit.checkpoints.folder import epoch_without_checkpoint
from vgg_lit.classifier import Classifier
from vgg_lit.config.schema import Export as ExportSettings
from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.data.sources import source_of
from vgg_lit.evaluation.measured_data import load_run_data
from vgg_lit.evaluation.trained import Trained
from vgg_lit.exporting.folder import CARD, DESCRIPTION, PROGRAM_FILES, REPORT, writing_into
from vgg_lit.exporting.measurement import build_runtimes, measure_runtimes
from vgg_lit.exporting.model import Description
from vgg_lit.exporting.model_card import ModelCard
from vgg_lit.exporting.parity import ParityReport, as_uint8
from vgg_lit.exporting.programs import (
    PixelClassifier,
    describe_network,
    write_programs,
    write_safetensors,
)
from vgg_lit.models.folding import count_batch_norms, fold_batch_norm
from vgg_lit.models.variants import network_name
from vgg_lit.system.files import replacing, to_json
from vgg_lit.system.markdown import markdown_code
from vgg_lit.system.terminal import visible
from vgg_lit.tables import print_facts, print_rows

CALIBRATION_BATCH = 32
CARD_SETTINGS = (
    *("seed", "model", "data", "augment", "optimizer", "scheduler", "loss"),
    *("init", "freeze"),
)
"""Settings of a run that its model card shows."""


def load_calibration_data(trained: Trained, data: Mapping[str, Any]) -> ImageDataModule:
    """Loads the data of the run, for calibration and for the test accuracy.

    Args:
        trained: trained network.
        data: `data` group of its run, with its place on this machine.
    """
    own = {"augment": None, "preprocessing": trained.preprocessing, **source_of(data)}
    found = load_run_data(trained.run, {**data, **own})
    trained.check_source(found.datamodule.source)
    if found.changes:
        print_facts({"changed": f"since the training: {found.changes}"})
    return found.datamodule


def write_export(
    trained: Trained,
    output: Path,
    settings: ExportSettings,
    datamodule: ImageDataModule | None,
) -> None:
    """Writes the files of an export and prints how each program compares with PyTorch.

    Args:
        trained: trained network.
        output: folder of the export.
        settings: settings of the command.
        datamodule: data of the run for int8 calibration and test accuracy; None skips both.

    Raises:
        TrainingError: the output of a program differs from the network's, or the disk is full.
    """
    trained.preprocessing.check_known(f"run={trained.run.path}")
    classifier = Classifier.load_from_checkpoint(trained.checkpoint).float()
    net = fold_batch_norm(classifier.net) if settings.fold_bn else classifier.net
    norms, left = count_batch_norms(classifier.net), count_batch_norms(net)
    folded = f"{norms - left} of {norms} layers folded"
    print_facts({"checkpoint": str(trained.checkpoint), "batch norm": folded})
    description = describe_network(
        trained.hyperparameters, trained.preprocessing, settings.softmax, trained.image_ranges
    )
    module = PixelClassifier(net, trained.preprocessing, settings.softmax)
    names = [name for form, name in PROGRAM_FILES.items() if form in settings.formats]
    with writing_into(output), ExitStack() as stack:
        files = {
            name: stack.enter_context(replacing(output / name))
            for name in (*names, DESCRIPTION, REPORT, CARD)
        }
        batches = _calibration(datamodule, settings.calibration_images) if datamodule else ()
        write_programs(module, description, files, batches)
        if "model.safetensors" in files:
            write_safetensors(classifier.net, files["model.safetensors"], description)
        runtimes = build_runtimes(classifier, module if left < norms else None, files, settings)
        report = measure_runtimes(runtimes, files, description, settings, datamodule)
        card = _card(trained, description, names, report, settings)
        for name, text in {
            DESCRIPTION: description.to_json(),
            REPORT: to_json(report.to_dict()),
            CARD: card,
        }.items():
            files[name].write_text(text, encoding="utf-8", newline="\n")
    for name in set(PROGRAM_FILES.values()) - set(names):
        (output / name).unlink(missing_ok=True)  # of an earlier export
    print_rows(report.rows(), "Each program compared with PyTorch, on the CPU")
    for remark in report.remarks():
        print(visible(remark))
    print_facts({"written": f"{output}: {', '.join((*names, DESCRIPTION, REPORT, CARD))}"})


def _calibration(datamodule: ImageDataModule, count: int) -> Iterator[Tensor]:
    """Yields the first images of the first training epoch, without augmentation."""
    datamodule.batch_size = min(CALIBRATION_BATCH, count, datamodule.sizes["train"])
    for images_BCHW, _, _ in datamodule.train_dataloader():
        yield as_uint8(images_BCHW[:count])
        count -= len(images_BCHW)
        if count <= 0:
            return


def _card(
    trained: Trained,
    description: Description,
    names: Sequence[str],
    report: ParityReport,
    settings: ExportSettings,
) -> str:
    run = trained.run
    config = run.config
    model, data = config["model"], dict(config["data"])
    source = {key: value for key, value in data.get("source", {}).items() if key != "root"}
    data = {key: value for key, value in data.items() if key not in ("root", "augment")}
    shown = {key: config[key] for key in CARD_SETTINGS if key in config} | {
        "data": data | ({"source": source} if source else {})
    }
    shown["trainer"] = {key: config["trainer"].get(key) for key in ("max_epochs", "precision")}
    return ModelCard(
        network=network_name(model),
        data=(source or data)["_target_"].rpartition(".")[2],
        origin=f"{markdown_code(trained.checkpoint.name)} of run {markdown_code(run.label)}",
        description=description,
        files=(*names, DESCRIPTION, REPORT),
        metrics={
            name: value
            for name, value in run.metrics.items()
            if name.startswith(("val/", "test/")) and not name.endswith("/top1")  # equal to acc
        },
        metrics_of_weights=trained.checkpoint == run.checkpoint("best")
        and epoch_without_checkpoint(run.path) is None,
        measurements=report.rows(),
        remarks=report.remarks(),
        config=OmegaConf.to_yaml(OmegaConf.create(shown)),
        license=settings.license,
    ).to_markdown()

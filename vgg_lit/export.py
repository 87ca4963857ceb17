"""Writes a trained run as files that run without this package, with a model card.

python -m vgg_lit.export run=logs/runs/vgg11_bn/2026-01-31_12-00-00_1f3a
python -m vgg_lit.export run=<run> formats=[onnx,onnx_int8] output=exported
python -m vgg_lit.predict model=exported images=shoe.png
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from vgg_lit.command import run_verb
from vgg_lit.config import check, to_plain
from vgg_lit.environment import describe_environment
from vgg_lit.errors import InputError, TrainingError
from vgg_lit.extras import require
from vgg_lit.files import replacing
from vgg_lit.schema import Export
from vgg_lit.tables import print_facts, print_rows
from vgg_lit.targets import instantiate, trust
from vgg_lit.trained.network import Trained, find_trained

if TYPE_CHECKING:
    from torch import Tensor

    from vgg_lit.data.datamodule import ImageDataModule
    from vgg_lit.exporting.model import Description
    from vgg_lit.exporting.parity import Report, Runtime
    from vgg_lit.exporting.programs import PixelClassifier

FILES = {
    "onnx": "model.onnx",
    "onnx_int8": "model_int8.onnx",
    "torch_export": "model.pt2",
    "safetensors": "model.safetensors",
}
NEEDS = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "onnx_int8": ("onnx", "onnxscript", "onnxruntime"),
    "torch_export": (),
    "safetensors": ("safetensors",),
}
CARD, DESCRIPTION, REPORT = "README.md", "model.json", "report.json"
CALIBRATION_BATCH = 32
SHAPING = (
    *("seed", "model", "data", "augment", "optimizer", "scheduler", "label_smoothing"),
    *("init", "freeze"),
)
"""The settings of a run that its model card shows."""


def export(config: DictConfig) -> None:
    """Writes the files, and prints how each program compares with the network in PyTorch.

    Raises:
        InputError: no such run or checkpoint, a folder that cannot be written, a network that cannot be
            exported, or data that cannot be read.
        TrainingError: a program does not compute what the network does, or the disk does not take it.
    """
    settings = check(to_plain(config), Export)
    trust(settings.trusted_targets)
    for form in settings.formats:
        require("export", *NEEDS[form], asked=f"formats=[{form}]")
    (trained,) = find_trained([settings.run], settings.checkpoint)
    output = Path(settings.output or trained.run.path / "export")
    check_output(output)
    datamodule = _data(trained) if "onnx_int8" in settings.formats else None

    # What can be wrong with the command has been said: now Lightning, which takes seconds.
    from vgg_lit.classifier import Classifier
    from vgg_lit.exporting.programs import (
        PixelClassifier,
        describe,
        write_programs,
        write_safetensors,
    )
    from vgg_lit.models.folding import count_batch_norms, fold_batch_norm

    classifier = Classifier.load_from_checkpoint(trained.checkpoint).float()
    net = fold_batch_norm(classifier.net) if settings.fold_bn else classifier.net
    norms, left = count_batch_norms(classifier.net), count_batch_norms(net)
    folded = f"{norms - left} of {norms} layers folded"
    print_facts({"checkpoint": str(trained.checkpoint), "batch norm": folded})
    description = describe(trained.hyperparameters, trained.preprocessing, settings.softmax)
    module = PixelClassifier(net, trained.preprocessing, settings.softmax)
    names = [name for form, name in FILES.items() if form in settings.formats]
    with _in_folder(output), ExitStack() as stack:
        files = {
            name: stack.enter_context(replacing(output / name))
            for name in (*names, DESCRIPTION, REPORT, CARD)
        }
        batches = _calibration(datamodule, settings.calibration_images) if datamodule else ()
        write_programs(module, description, files, batches)
        if "model.safetensors" in files:
            write_safetensors(classifier.net, files["model.safetensors"], description)
        runtimes = _runtimes(classifier, module if left < norms else None, files, settings)
        report = _measure(runtimes, files, description, settings, datamodule)
        card = _card(trained, description, names, report, settings)
        for name, text in {
            DESCRIPTION: description.to_json(),
            REPORT: json.dumps(report.to_dict(), indent=2) + "\n",
            CARD: card,
        }.items():
            files[name].write_text(text, encoding="utf-8")
    for name in set(FILES.values()) - set(names):
        (output / name).unlink(missing_ok=True)  # of an earlier export
    print_rows(report.rows(), "Each program beside PyTorch, on the CPU")
    for remark in report.remarks():
        print(remark)
    print_facts({"written": f"{output}: {', '.join((*names, DESCRIPTION, REPORT, CARD))}"})


def check_output(folder: Path) -> None:
    """Looks at the folder that an export is to be written to; makes nothing.

    Raises:
        InputError: it cannot be made or written into, or holds the README.md of something else.
    """
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"output={folder}: {nearest} is no folder that can be written into")
    if (folder / CARD).exists() and not (folder / DESCRIPTION).exists():
        raise InputError(
            f"output={folder}: holds a {CARD} that is none of an export; name a folder of its own"
        )


@contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    """Says in one line what the disk would not take; leaves no empty folder behind."""
    try:
        yield
    except BaseException as error:
        with suppress(OSError):  # not there, or not empty
            folder.rmdir()
        if isinstance(error, OSError):
            raise TrainingError(
                f"output={folder}: cannot be written: {error.strerror or error}; what was there is as "
                "it was"
            ) from error
        raise


def _data(trained: Trained) -> "ImageDataModule":
    """The run's own images, to calibrate with and to test on."""
    from vgg_lit.data.datamodule import ImageDataModule

    spec = {name: value for name, value in trained.run.config["data"].items() if name != "root"}
    spec["augment"] = None
    spec["preprocessing"] = trained.preprocessing
    spec["source"] = instantiate(spec["source"], key="data.source")
    datamodule = instantiate(spec, key="data")
    assert isinstance(datamodule, ImageDataModule)
    trained.check_source(datamodule.source)
    datamodule.prepare_data()
    datamodule.setup()
    return datamodule


def _calibration(datamodule: "ImageDataModule", count: int) -> "Iterator[Tensor]":
    """The first images of the first training epoch, as the source gives them."""
    datamodule.batch_size = min(CALIBRATION_BATCH, count, datamodule.sizes["train"])
    for images_BCHW, _, _ in datamodule.train_dataloader():
        yield images_BCHW[:count]
        count -= len(images_BCHW)
        if count <= 0:
            return


def _runtimes(
    classifier: Any,
    folded: "PixelClassifier | None",
    files: Mapping[str, Path],
    settings: Export,
) -> "dict[str, Runtime]":
    """The network as evaluation runs it, then what was made of it."""
    import torch

    from vgg_lit.data.preprocessing import Preprocessing
    from vgg_lit.exporting.model import ONNX, ONNX_INT8, ExportedModel

    prepare = Preprocessing.from_dict(classifier.preprocessing)

    def pytorch(images_BCHW: "Tensor") -> "Tensor":
        logits_BK = classifier(prepare(images_BCHW))
        return logits_BK.softmax(dim=1) if settings.softmax else logits_BK

    runtimes: dict[str, Runtime] = {"PyTorch": pytorch}
    if folded is not None:
        runtimes["PyTorch, folded"] = folded
    if "model.pt2" in files:
        with files["model.pt2"].open("rb") as file:
            runtimes["model.pt2"] = torch.export.load(file).module()
    return runtimes | {
        name: ExportedModel(files[name]) for name in (ONNX, ONNX_INT8) if name in files
    }


def _measure(
    runtimes: "Mapping[str, Runtime]",
    files: Mapping[str, Path],
    description: "Description",
    settings: Export,
    datamodule: "ImageDataModule | None",
) -> "Report":
    """The runtimes beside the first of them.

    Raises:
        TrainingError: one in float32 does not compute the same.
    """
    import torch

    from vgg_lit.exporting.model import ONNX_INT8
    from vgg_lit.exporting.parity import Report, accuracies, compare_runtimes

    side, draws = description.source_size, torch.Generator().manual_seed(0)
    comparisons = {}
    for count in dict.fromkeys(settings.batch_sizes):
        shape = (count, description.in_channels, side, side)
        noise_BCHW = torch.randint(0, 256, shape, generator=draws, dtype=torch.uint8)
        comparisons[count] = compare_runtimes(runtimes, noise_BCHW)
    environment = describe_environment()
    report = Report(
        comparisons,
        accuracies=accuracies(runtimes, datamodule.test_dataloader()) if datamodule else {},
        test_images=datamodule.sizes["test"] if datamodule else 0,
        megabytes={name: files[name].stat().st_size / 1e6 for name in runtimes if name in files},
        threads=torch.get_num_threads(),
        processor=environment["processor"],
        packages={
            package: version(package)
            for package in ("torch", *(p for form in settings.formats for p in NEEDS[form]))
        },
    )
    if wrong := [name for name in report.unequal() if name != ONNX_INT8]:
        worst = max(found[name].difference for found in comparisons.values() for name in wrong)
        raise TrainingError(
            f"{', '.join(wrong)}: does not compute what PyTorch does (outputs differ by {worst:.3g}); "
            "nothing was written"
        )
    return report


def _card(
    trained: Trained,
    description: "Description",
    names: Sequence[str],
    report: "Report",
    settings: Export,
) -> str:
    from vgg_lit.exporting.model_card import ModelCard

    config = trained.run.config
    model, data = config["model"], dict(config["data"])
    variant = model.get("variant")
    network = variant if isinstance(variant, str) else model["_target_"].rpartition(".")[2]
    source = {key: value for key, value in data["source"].items() if key != "root"}
    data = {key: value for key, value in data.items() if key not in ("root", "augment")}
    shown = {key: config[key] for key in SHAPING if key in config} | {
        "data": data | {"source": source}
    }
    shown["trainer"] = {key: config["trainer"].get(key) for key in ("max_epochs", "precision")}
    return ModelCard(
        network=network,
        data=source["_target_"].rpartition(".")[2],
        origin=f"`{trained.checkpoint.name}` of run `{trained.run.path.name}`",
        description=description,
        files=(*names, DESCRIPTION, REPORT),
        metrics={
            name: value
            for name, value in trained.run.metrics.items()
            if name.startswith(("val/", "test/")) and not name.endswith("/top1")  # which acc is
        },
        measurements=report.rows(),
        remarks=report.remarks(),
        config=OmegaConf.to_yaml(OmegaConf.create(shown)),
        license=settings.license,
    ).to_markdown()


def main() -> None:
    """The console script `vgg-export`."""
    run_verb(export, "export")


if __name__ == "__main__":
    main()

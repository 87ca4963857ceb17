"""Facts of a run that are printed before and after training, and recorded beside it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import lightning.pytorch as L

from vgg_lit.checkpoints.folder import checkpoint_text
from vgg_lit.classifier import Classifier
from vgg_lit.data.class_sizes import describe_classes
from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.models.variants import network_name
from vgg_lit.runs import Run
from vgg_lit.system.files import shown_path, write_json, write_text
from vgg_lit.system.operating_system import quoted
from vgg_lit.system.overrides import pasteable
from vgg_lit.tables import print_facts
from vgg_lit.training.trainer import precision_of
from vgg_lit.weights.transfer import Transfer


def print_header(
    run: Run,
    trainer: L.Trainer,
    classifier: Classifier,
    datamodule: ImageDataModule,
    config: Mapping[str, Any],
) -> None:
    """Prints the run directory, the data, the network and the device."""
    which = {"val": f" (fold {datamodule.fold} of {datamodule.folds})"} if datamodule.folds else {}
    sizes = ", ".join(
        f"{size:,} {name}{which.get(name, '')}" for name, size in datamodule.sizes.items() if size
    )
    parameters = sum(parameter.numel() for parameter in classifier.net.parameters())
    precision, reason = precision_of(config["trainer"])
    side = datamodule.image_size
    channels = datamodule.source.in_channels
    print_facts(
        {
            "run": str(run.path),
            "data": f"{datamodule.source.name}: {sizes}; {len(datamodule.classes):,} classes",
            **(
                {"classes": describe_classes(datamodule.classes, sizes_by_class)}
                if (sizes_by_class := datamodule.class_sizes)
                else {}
            ),
            **(facts() if (facts := getattr(datamodule.source, "facts", None)) else {}),
            "network": f"{network_name(config['model'])}, {parameters:,} parameters, "
            f"input {channels} x {side} x {side}",
            "device": f"{trainer.world_size} x {trainer.strategy.root_device.type}, "
            f"{precision} ({reason})",
        }
    )


def record_weights(
    run: Run, classifier: Classifier, transfer: Transfer | None, config: Mapping[str, Any]
) -> None:
    """Prints copied and frozen weights; records the copied ones in `init.json`."""
    if transfer:
        origin = config["init"]["from"]
        print_facts({"init   ": f"from {origin} ({transfer.layout}): {transfer}"})
        record = {"from": origin, **asdict(transfer)}
        write_json(run.path / "init.json", record)
    if config["freeze"]:
        sizes = [p.numel() for p in classifier.net.parameters() if not p.requires_grad]
        print_facts({"frozen ": f"{', '.join(config['freeze'])}: {sum(sizes):,} parameters"})


def record_damage(run: Run, datamodule: ImageDataModule) -> None:
    """Lists in the run directory the damaged images that are left out, with the reasons."""
    if damaged := getattr(datamodule.source, "damaged_files", None):
        lines = [f"{shown_path(path)}: {reason}\n" for path, reason in sorted(damaged.items())]
        write_text(run.path / "damaged.txt", "".join(lines))


def print_footer(run: Run, inspection: Mapping[str, str]) -> None:
    """Prints the files of the run and the next commands; `inspection` shows the run at services."""
    # TensorBoard names runs by their paths below this folder.
    folder = run.path.parent if run.path.is_relative_to("logs") else run.path
    facts = {"inspect": quoted(["tensorboard", "--logdir", str(folder)]), **inspection}
    if any(run.checkpoints.glob("*.ckpt")):
        settings = run.selection
        facts |= {
            "checkpoint": checkpoint_text(run.path, run.checkpoint()),
            "evaluate": pasteable("evaluate", settings),
            "predict": pasteable("predict", settings | {"images": "image.png"}),
            "visualize": pasteable("visualize", settings),
            "export": pasteable("export", settings),
        }
    if profiles := sorted(run.path.glob("*-profile.txt")):
        facts["profile"] = ", ".join(map(str, profiles))
    print_facts(facts)

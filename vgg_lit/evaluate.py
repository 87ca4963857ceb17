"""Evaluates trained runs on their own test set, or on other data with the same classes.

python -m vgg_lit.evaluate run=logs/runs/vgg11_bn/2026-01-31_12-00-00_1f3a
python -m vgg_lit.evaluate run=<run> data=fashion_mnist
python -m vgg_lit.evaluate run=[<run>,<run>] flip=true dense=true scales=[32,48,64]
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from vgg_lit.command import run_verb
from vgg_lit.config import check, to_plain
from vgg_lit.errors import InputError
from vgg_lit.files import write_text
from vgg_lit.schema import Data, Evaluate
from vgg_lit.tables import markdown_table, print_facts, print_metrics, print_rows
from vgg_lit.targets import instantiate, trust
from vgg_lit.trained.network import Trained, find_trained

if TYPE_CHECKING:
    from vgg_lit.trained.evaluation import Row


def evaluate(config: DictConfig) -> dict[str, float]:
    """Prints and records the metrics of what was asked for; returns them by name.

    Raises:
        InputError: no such run or checkpoint, views its network cannot see, or data that do not fit.
    """
    settings = check(to_plain(config, without="data"), Evaluate)
    trust(settings.trusted_targets)
    paths = [settings.run] if isinstance(settings.run, str) else settings.run
    trained = find_trained(paths, settings.checkpoint)

    from vgg_lit.data.views import asked_views

    views = asked_views(
        settings.flip, settings.scales, settings.dense, settings.crops, settings.shifts
    )
    for one in trained:
        one.check_views(views)
    spec = _data_spec(config, settings, trained)

    # What can be wrong with the command has been said: now Lightning, which takes seconds.
    from rich.progress import track

    from vgg_lit.classifier import Classifier
    from vgg_lit.hardware import count_devices, resolve_precision
    from vgg_lit.trained.evaluation import Member, rows_of, score
    from vgg_lit.training.trainer import quieten_lightning

    quieten_lightning()
    count_devices(settings.accelerator)
    datamodule = instantiate(spec, key="data")
    datamodule.prepare_data()
    datamodule.setup("test" if settings.split == "test" else "validate")
    facts = {"data": f"{datamodule.source.name}, {settings.split}"}
    members, checkpoints = [], []
    for number, one in enumerate(trained, 1):
        precision, reason = resolve_precision(
            settings.precision or one.run.config["trainer"]["precision"], settings.accelerator
        )
        which = f" {number}" if len(trained) > 1 else ""
        facts[f"checkpoint{which}"] = str(one.checkpoint)
        facts[f"precision{which}"] = f"{precision} ({reason})"
        checkpoints.append({"checkpoint": str(one.checkpoint), "precision": precision})
        members.append(
            Member(
                Classifier.load_from_checkpoint(one.checkpoint),
                source_size=datamodule.preprocessing.source_size,
                accelerator=settings.accelerator,
                precision=precision,
                has_dense=settings.dense,
            )
        )
    print_facts(facts)
    rows = rows_of(views, [one.run.path.name for one in trained])
    batches = getattr(datamodule, f"{settings.split}_dataloader")()
    scores = score(
        rows, members, track(batches, "evaluating", transient=True, disable=len(batches) == 1)
    )
    metrics = [{f"{settings.split}/{key}": found[key] for key in found} for found in scores]
    folder = trained[0].run.path / "evaluations"
    _report(folder, datamodule.source.name, settings.split, checkpoints, rows, metrics)
    return metrics[-1]


def _data_spec(
    config: DictConfig, settings: Evaluate, trained: Sequence[Trained]
) -> dict[str, Any]:
    """The `data` group to evaluate on, with its source built and checked against every network.

    The images are brought to the input that each was trained with.
    """
    from vgg_lit.data.sources import build_source

    preprocessing = trained[0].preprocessing
    if OmegaConf.select(config, "data") is None:
        spec = trained[0].run.config["data"]
        if settings.split == "val":
            for one in trained[1:]:
                one.check_validation(spec)
    else:
        # A folder of images is decoded as the run's images were.
        OmegaConf.update(config, "data.image_size", preprocessing.source_size)
        OmegaConf.update(config, "data.in_channels", preprocessing.in_channels)
        spec = to_plain(config)["data"]
        check(spec, Data, "data")
    if settings.split == "val" and not spec["val_fraction"]:
        raise InputError("split=val: data.val_fraction=0 leaves no validation split; allowed: test")
    source = build_source(spec["source"])
    for one in trained:
        one.check_source(source)
    unused = ("root", "augment")
    return {name: value for name, value in spec.items() if name not in unused} | {
        "source": source,
        "batch_size": settings.batch_size or spec["batch_size"],
        "preprocessing": preprocessing,
    }


def _report(
    folder: Path,
    data: str,
    split: str,
    checkpoints: Sequence[Mapping[str, str]],
    rows: "Sequence[Row]",
    metrics: Sequence[Mapping[str, float]],
) -> None:
    """Prints the metrics and writes them to a folder; several rows as a table, in Markdown too.

    Args:
        folder: of the first run.
        data: name of the data set.
        split: of it.
        checkpoints: file and precision of each network.
        rows: what was evaluated; the last is what was asked for.
        metrics: of each row.
    """
    asked = rows[-1]
    is_fusion = len(checkpoints) > 1
    record: dict[str, Any] = {"checkpoints": checkpoints} if is_fusion else {**checkpoints[0]}
    record["metrics"] = metrics[-1]
    file = folder / f"{data}_{split}"
    if len(rows) == 1:
        print_metrics(metrics[0], title=f"{asked.network} on {data}")
    else:
        both = list(zip(rows, metrics, strict=True))
        record["rows"] = [
            {"network": row.network, "views": row.label, "metrics": found} for row, found in both
        ]
        table = [_cells(row, found, is_fusion) for row, found in both]
        title = f"{asked.network} on {data}, {split}: accuracies in per cent"
        print_rows(table, title)
        name = f"{asked.network} {asked.label}" if is_fusion else asked.label
        file = folder / f"{file.name}_{re.sub(r'[^0-9a-z]+', '-', name)}"
        _write(file.with_suffix(".md"), f"{title}\n\n{markdown_table(table)}")
    _write(file.with_suffix(".json"), json.dumps(record, indent=2) + "\n")


def _cells(row: "Row", metrics: Mapping[str, float], names_network: bool) -> dict[str, str]:
    """A row of the table, by column."""
    network = {"network": row.network} if names_network else {}
    values = {name.partition("/")[2]: value for name, value in metrics.items()}
    loss = {"loss": f"{values['loss']:.4f}"}
    accuracies = {f"top{k}": f"{100 * values[f'top{k}']:.2f}" for k in range(1, 6)}
    return {**network, "views": row.label, **loss, **accuracies}


def _write(file: Path, text: str) -> None:
    write_text(file, text)
    print_facts({"written": str(file)})


def main() -> None:
    """The console script `vgg-evaluate`."""
    run_verb(evaluate, "evaluate")


if __name__ == "__main__":
    main()

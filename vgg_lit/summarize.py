"""Shows what a network costs: shapes, parameters, multiply-adds and memory, layer by layer.

python -m vgg_lit.summarize model=vgg16_bn data=cifar10
python -m vgg_lit.summarize run=logs/runs/vgg11_bn/2026-01-31_12-00-00_1f3a output=cost.json
python -m vgg_lit.summarize model=all
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vgg_lit.command import config_folder, run_verb
from vgg_lit.config import check, check_model, to_plain
from vgg_lit.errors import InputError
from vgg_lit.files import write_text
from vgg_lit.models import VARIANTS
from vgg_lit.runs import Run
from vgg_lit.schema import Summarize
from vgg_lit.tables import markdown_table, print_facts, print_rows
from vgg_lit.targets import trust

if TYPE_CHECKING:
    from vgg_lit.analysis.complexity import Cost

ALL = "all"
"""In place of a model: the paper's configurations and what they are compared with."""

COMPARED = ("resnet50", "efficientnet_b0")
PAPER_INPUT = (3, 224, 224)
PAPER_CLASSES = 1000
FORMATS = (".json", ".csv", ".md")
MACS = "multiply-adds of convolutions and matrix products, with padding, without biases; an image"


class Table(NamedTuple):
    """Rows of texts by column, and the numbers of the rows that end a section."""

    title: str
    rows: Sequence[Mapping[str, str]]
    ends: Sequence[int] = ()


@dataclass(frozen=True)
class Report:
    """What is printed, and the same as numbers: all of them by name, the main ones as a table."""

    facts: Mapping[str, str]
    tables: Sequence[Table]
    record: Mapping[str, Any]
    table: Sequence[Mapping[str, Any]]


def summarize(config: DictConfig) -> None:
    """Prints the costs of a network, or of all the paper's, and writes them to a file if asked.

    Raises:
        InputError: there is no such network or run, or it cannot be trained with such a batch.
    """
    hydra = HydraConfig.get()
    choice, typed = hydra.runtime.choices["model"], hydra.overrides.task
    settings = check(to_plain(config), Summarize)
    trust(settings.trusted_targets)
    output = Path(settings.output) if settings.output else None
    if output and output.suffix not in FORMATS:
        raise InputError(f"output={output}: the name of the file ends in {', '.join(FORMATS)}")
    model, data, precision = settings.model, settings.data, "auto"
    if settings.run is not None:
        _refuse(("model", "data"), typed, f"run={settings.run}")
        run = Run(settings.run).config
        model, data, precision = run["model"], run["data"], run["trainer"]["precision"]
    elif choice == ALL:
        _refuse(("data",), typed, f"model={ALL}")
    elif model is None:
        names = sorted(file.stem for file in (config_folder() / "model").glob("*.yaml"))
        raise InputError(
            f"model={choice}: there is no such config; allowed: {ALL}, {', '.join(names)}"
        )

    from vgg_lit.hardware import resolve_precision

    precision, reason = resolve_precision(settings.precision or precision, "auto")
    batch_size = settings.batch_size or data["batch_size"]
    if model is None:
        report = report_all(batch_size, precision)
    else:
        report = report_one(model, data, batch_size, precision)
    print_facts({**report.facts, "precision": f"{precision} ({reason})", "MACs": MACS})
    for table in report.tables:
        print()
        print_rows(table.rows, table.title, table.ends)
    if output:
        write_text(output, _formatted(report, output.suffix))
        print_facts({"written": str(output)})


def report_one(
    model: dict[str, Any], data: Mapping[str, Any], batch_size: int, precision: str
) -> Report:
    """A network, layer by layer.

    Args:
        model: the `model` group.
        data: the `data` group.
        batch_size: images.
        precision: as Lightning names it.

    Raises:
        InputError: the network cannot be built, or not be trained with such a batch.
    """
    net = check_model(model, data["num_classes"])

    from vgg_lit.analysis.complexity import measure
    from vgg_lit.analysis.cost_tables import layer_rows, memory_rows, share_rows

    shape = (data["in_channels"], data["image_size"], data["image_size"])
    cost = measure(net, shape, batch_size, precision)
    name = str(model.get("variant") or model["_target_"].rpartition(".")[2])
    facts = {"network": name, "input": f"{batch_size} images of {_by(shape)}"}
    tables = [
        Table(f"{name}: MACs of one image, memory kept of {batch_size}", *layer_rows(cost)),
        Table("convolutions and fully connected layers", share_rows(cost)),
        Table(f"memory for {batch_size} images", memory_rows(cost)),
    ]
    record = _record(batch_size, precision, shape) | {"network": name} | asdict(cost)
    return Report(facts, tables, record, [_flat(layer) for layer in record["layers"]])


def report_all(batch_size: int, precision: str) -> Report:
    """The paper's Tables 1 and 2, with the networks of today in the same units.

    Args:
        batch_size: images.
        precision: as Lightning names it.
    """
    import torch
    from rich.progress import track

    from vgg_lit import models
    from vgg_lit.analysis.complexity import measure
    from vgg_lit.analysis.cost_tables import comparison_rows, table_1

    costs: dict[str, Cost] = {}
    for name in track((*VARIANTS, *COMPARED), "counting", transient=True):
        with torch.device("meta"):
            net = getattr(models, name)()
        costs[name] = measure(net, PAPER_INPUT, batch_size, precision)
    tables = [
        Table("Table 1 of the paper: its configurations", *table_1()),
        Table(
            f"parameters, in millions as in Table 2, MACs, and memory for {batch_size} images",
            comparison_rows(costs),
        ),
    ]
    totals = [
        {
            "network": name,
            "parameters": sum(layer.parameters for layer in cost.layers),
            "macs": sum(layer.macs for layer in cost.layers),
            **asdict(cost.memory),
        }
        for name, cost in costs.items()
    ]
    record = _record(batch_size, precision, PAPER_INPUT) | {"networks": totals}
    facts = {"input": f"{batch_size} images of {_by(PAPER_INPUT)}, {PAPER_CLASSES:,} classes"}
    return Report(facts, tables, record, totals)


def _record(batch_size: int, precision: str, shape: Sequence[int]) -> dict[str, Any]:
    settings = {"batch_size": batch_size, "precision": precision, "input": list(shape)}
    return settings | {"units": {"macs": MACS, "memory": "bytes"}}


def _refuse(groups: Sequence[str], typed: Sequence[str], where: str) -> None:
    """Whatever was typed of groups that do not count.

    Raises:
        InputError: something was.
    """
    for override in typed:
        if override.lstrip("+~").replace("=", ".").partition(".")[0] in groups:
            raise InputError(f"{override}: goes without {where}, which has its own")


def _formatted(report: Report, suffix: str) -> str:
    if suffix == ".json":
        return json.dumps(report.record, indent=2) + "\n"
    if suffix == ".md":
        facts = "".join(f"- {name}: {value}\n" for name, value in report.facts.items())
        tables = [f"## {table.title}\n\n{markdown_table(table.rows)}" for table in report.tables]
        return "\n".join([f"{facts}- MACs: {MACS}\n", *tables])
    text = io.StringIO()
    writer = csv.DictWriter(text, list(report.table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(report.table)
    return text.getvalue()


def _flat(layer: Mapping[str, Any]) -> dict[str, Any]:
    """A layer as a row of a CSV file."""
    side, jump = layer["field"] or ("", "")
    row = {name: value for name, value in layer.items() if name != "field"}
    return row | {"output_shape": _by(layer["output_shape"]), "sees": side, "jump": jump}


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def main() -> None:
    """The console script `vgg-summarize`."""
    run_verb(summarize, "summarize")


if __name__ == "__main__":
    main()

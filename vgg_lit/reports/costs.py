"""Costs of networks: shapes, parameters, multiply-adds and memory, layer by layer."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from rich.progress import track

from vgg_lit import models
from vgg_lit.analysis.complexity import Cost, measure
from vgg_lit.analysis.cost_tables import (
    comparison_rows,
    layer_rows,
    memory_rows,
    share_rows,
    table_1,
)
from vgg_lit.config.checks import check_source
from vgg_lit.config.network_checks import check_model
from vgg_lit.errors import InputError, one_line
from vgg_lit.models.data_arguments import DataShape
from vgg_lit.models.variants import VARIANTS, network_name
from vgg_lit.system.files import to_json
from vgg_lit.tables import markdown_table, to_csv

COMPARED = ("resnet50", "efficientnet_b0")
PAPER_INPUT = (3, 224, 224)
PAPER_CLASSES = 1000
MACS = "multiply-adds per image of convolutions and matrix products, with padding, without biases"


class CostTable(NamedTuple):
    """A table of text.

    Attributes:
        title: title of the table.
        rows: texts by column.
        ends: indices of the rows that end a section.
    """

    title: str
    rows: Sequence[Mapping[str, str]]
    ends: Sequence[int] = ()


@dataclass(frozen=True)
class CostReport:
    """The costs of networks.

    Attributes:
        facts: printed above the tables.
        tables: printed tables.
        record: all numbers by name, for JSON.
        table: main numbers for CSV, one row per layer or network.
    """

    facts: Mapping[str, str]
    tables: Sequence[CostTable]
    record: Mapping[str, Any]
    table: Sequence[Mapping[str, Any]]


def report_one(
    model: dict[str, Any], data: Mapping[str, Any], batch_size: int, precision: str
) -> CostReport:
    """Measures a network layer by layer.

    Args:
        model: the `model` group.
        data: the `data` group.
        batch_size: images in a batch.
        precision: name of the precision in Lightning.

    Raises:
        InputError: the network cannot be built, or not trained with this batch size.
    """
    channels, side = data.get("in_channels"), data.get("image_size")
    if channels is None or side is None:
        raise InputError(
            "data: its channels and image size are known when it is loaded; set data.in_channels, "
            "data.image_size and data.num_classes in its YAML file, or use run=<run>"
        )
    num_classes = data.get("num_classes") or check_source(dict(data))
    net = check_model(model, DataShape.of(data, num_classes))

    shape = (channels, side, side)
    try:
        cost = measure(net, shape, batch_size, precision)
    except (
        RuntimeError,
        TypeError,
        OverflowError,
    ) as error:  # the config of a run contradicts itself
        taken = f"{batch_size} images of {_by(shape)}"
        raise InputError(f"model: does not take {taken}: {one_line(error)[:200]}") from error
    name = network_name(model)
    facts = {"network": name, "input": f"{batch_size} images of {_by(shape)}"}
    tables = [
        CostTable(
            f"{name}: MACs per image, memory kept for {batch_size} images", *layer_rows(cost)
        ),
        CostTable("convolutions and fully connected layers", share_rows(cost)),
        CostTable(f"memory for {batch_size} images", memory_rows(cost)),
    ]
    record = _record(batch_size, precision, shape) | {"network": name} | asdict(cost)
    return CostReport(facts, tables, record, [_flat(layer) for layer in record["layers"]])


def report_all(batch_size: int, precision: str) -> CostReport:
    """Measures the paper's networks (Tables 1 and 2) and newer ones in the same units.

    Args:
        batch_size: images in a batch.
        precision: name of the precision in Lightning.
    """
    costs: dict[str, Cost] = {}
    for name in track((*VARIANTS, *COMPARED), "counting", transient=True):
        with torch.device("meta"):
            net = getattr(models, name)()
        costs[name] = measure(net, PAPER_INPUT, batch_size, precision)
    tables = [
        CostTable("Table 1 of the paper: its configurations", *table_1()),
        CostTable(
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
    return CostReport(facts, tables, record, totals)


def _record(batch_size: int, precision: str, shape: Sequence[int]) -> dict[str, Any]:
    settings = {"batch_size": batch_size, "precision": precision, "input": list(shape)}
    return settings | {"units": {"macs": MACS, "memory": "bytes"}}


def format_report(report: CostReport, suffix: str) -> str:
    """Formats a report as `.json`, `.md` or `.csv`."""
    if suffix == ".json":
        return to_json(report.record)
    if suffix == ".md":
        facts = "".join(f"- {name}: {value}\n" for name, value in report.facts.items())
        tables = [f"## {table.title}\n\n{markdown_table(table.rows)}" for table in report.tables]
        return "\n".join([f"{facts}- MACs: {MACS}\n", *tables])
    return to_csv(report.table)


def _flat(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a layer as a row of a CSV file."""
    side, jump = layer["field"] or ("", "")
    row = {name: value for name, value in layer.items() if name != "field"}
    return row | {"output_shape": _by(layer["output_shape"]), "sees": side, "jump": jump}


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))

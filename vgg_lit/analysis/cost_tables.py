"""Costs of networks as table rows; each row maps columns to texts.

layer_rows(measure(vgg16(), (3, 224, 224)))
comparison_rows({"vgg16": measure(vgg16(), (3, 224, 224))})
table_1()
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import groupby, zip_longest

from vgg_lit.analysis.complexity import Cost, LayerCost
from vgg_lit.models.variants import HEADS, TABLE_1, VARIANTS, Conv

Row = dict[str, str]

MILLIONS = {"A": 133, "A-LRN": 133, "B": 133, "C": 134, "D": 138, "E": 144}
"""Millions of parameters of each configuration, as given in the paper. Source: Table 2."""

SHARES = {"convolutions": ("Conv2d",), "fully connected": ("Linear",)}
"""Group name -> classes of its layers."""


def layer_rows(cost: Cost) -> tuple[list[Row], list[int]]:
    """Returns one row per layer, with a sum row after each block, and the indices of the sum rows."""
    rows: list[Row] = []
    sums: list[int] = []
    for block, group in groupby(cost.layers, lambda layer: layer.block):
        layers = list(group)
        rows += map(_layer_row, layers)
        if block and len(layers) > 1:
            rows.append(_sum_row(block, layers))
        sums.append(len(rows) - 1)
    rows.append(_sum_row("all", cost.layers))
    if all(layer.field is None for layer in cost.layers):
        rows = [
            {k: v for k, v in row.items() if k not in ("receptive field, px", "jump, px")}
            for row in rows
        ]
    return rows, sums


def _layer_row(layer: LayerCost) -> Row:
    side, jump = layer.field or ("", "")
    return {
        "layer": layer.name,
        "output": " x ".join(map(str, layer.output_shape)),
        **_numbers([layer]),
        "receptive field, px": str(side),
        "jump, px": str(jump),
    }


def _sum_row(name: str, layers: Sequence[LayerCost]) -> Row:
    field = {"receptive field, px": "", "jump, px": ""}
    return {"layer": name, "output": "", **_numbers(layers), **field}


def _numbers(layers: Sequence[LayerCost]) -> Row:
    return {
        "parameters": f"{sum(layer.parameters for layer in layers):,}",
        "MACs": f"{sum(layer.macs for layer in layers):,}",
        "kept, MB": megabytes(sum(layer.kept for layer in layers)),
    }


def share_rows(cost: Cost) -> list[Row]:
    """Returns parameters and MACs of convolutions, fully connected layers and all, with shares."""
    groups = {
        name: [layer for layer in cost.layers if layer.kind in kinds]
        for name, kinds in SHARES.items()
    }
    of_all = {column: _count(cost.layers, column) for column in ("parameters", "macs")}
    return [
        {
            "layers": name,
            "parameters": f"{_count(layers, 'parameters'):,}",
            "share": _percent(_count(layers, "parameters"), of_all["parameters"]),
            "MACs": f"{_count(layers, 'macs'):,}",
            "share of MACs": _percent(_count(layers, "macs"), of_all["macs"]),
        }
        for name, layers in (groups | {"all": list(cost.layers)}).items()
    ]


def memory_rows(cost: Cost) -> list[Row]:
    """Returns the parts of the memory that a batch needs."""
    names = {
        "weights": "weights",
        "gradients": "gradients",
        "momentum": "momentum of SGD (Adam: twice as much)",
        "activations": "activations kept for the backward pass",
        "weight_copies": "copies of weights in the lower precision",
        "training": "training, peak",
        "inference": "inference, peak",
    }
    return [
        {"memory": names[field.name], "MB": megabytes(getattr(cost.memory, field.name))}
        for field in fields(cost.memory)
    ]


def comparison_rows(costs: Mapping[str, Cost]) -> list[Row]:
    """Returns one row per network; variants of the paper also show the paper's parameter count."""
    rows = []
    for name, cost in costs.items():
        variant = VARIANTS.get(name)
        conv = [layer for layer in cost.layers if layer.kind == "Conv2d"]
        weighted = [layer for layer in cost.layers if layer.kind in ("Conv2d", "Linear")]
        rows.append(
            {
                "network": name,
                "configuration": variant.letter or "" if variant else "",
                "conv and FC layers": str(len(weighted)),
                "parameters": f"{_count(cost.layers, 'parameters'):,}",
                "paper, M": str(MILLIONS[variant.letter or ""]) if variant else "",
                "in convolutions": f"{_count(conv, 'parameters'):,}",
                "MACs": f"{_count(cost.layers, 'macs'):,}",
                "training, MB": megabytes(cost.memory.training),
                "inference, MB": megabytes(cost.memory.inference),
            }
        )
    return rows


def table_1() -> tuple[list[Row], list[int]]:
    """Returns the paper's configurations, one per column, and the indices of rows that end a block.

    Source: Simonyan & Zisserman 2015, Table 1.
    """
    depth = len(HEADS["imagenet"].hidden) + 1
    columns = {
        letter: f"{letter}: {sum(map(len, plan)) + depth} weight layers"
        for letter, plan in TABLE_1.items()
    }
    rows: list[Row] = []
    ends: list[int] = []
    for blocks in zip(*TABLE_1.values(), strict=True):
        places = zip_longest(*map(_texts, blocks), fillvalue="")
        rows += [dict(zip(columns.values(), texts, strict=True)) for texts in places]
        rows.append(dict.fromkeys(columns.values(), "maxpool"))
        ends.append(len(rows) - 1)
    for size in (*HEADS["imagenet"].hidden, 1000):
        rows.append(dict.fromkeys(columns.values(), f"FC-{size}"))
    rows.append(dict.fromkeys(columns.values(), "soft-max"))
    return rows, ends


def _texts(block: Sequence[Conv]) -> list[str]:
    """Returns a block in the paper's notation: `conv3-64` is a 3x3 convolution to 64 channels."""
    lines = [(f"conv{conv.kernel}-{conv.channels}", "LRN" if conv.lrn else "") for conv in block]
    return [text for line in lines for text in line if text]


def _count(layers: Sequence[LayerCost], column: str) -> int:
    return sum(getattr(layer, column) for layer in layers)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def megabytes(size: int) -> str:
    """Formats bytes as megabytes; 1 MB is 10^6 bytes."""
    return f"{size / 1e6:,.2f}"

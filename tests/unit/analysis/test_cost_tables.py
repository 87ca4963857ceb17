"""Tables of measured costs, and Table 1 of the paper."""

import pytest
import torch

from vgg_lit.analysis.complexity import measure
from vgg_lit.analysis.cost_tables import (
    MILLIONS,
    comparison_rows,
    layer_rows,
    memory_rows,
    share_rows,
    table_1,
)
from vgg_lit.models import VARIANTS, build, resnet18


def number(text):
    return float(text.replace(",", "").removesuffix(" %"))


@pytest.fixture(scope="module")
def cost():
    with torch.device("meta"):
        net = build("vgg16")
    return measure(net, (3, 224, 224), batch_size=2)


def test_layer_rows_are_followed_by_the_sums_of_their_block(cost):
    rows, sums = layer_rows(cost)
    names = [row["layer"] for row in rows]
    assert [names[index] for index in sums] == [f"block{b}" for b in range(1, 6)] + ["head"]
    assert names[-1] == "all"
    start = 0
    for end in sums:
        for column in ("parameters", "MACs"):
            inside = sum(number(row[column]) for row in rows[start:end])
            assert number(rows[end][column]) == inside
        start = end + 1
    assert number(rows[-1]["parameters"]) == 138_357_544
    assert number(rows[-1]["kept, MB"]) == pytest.approx(cost.memory.activations / 1e6, abs=0.005)
    first = rows[0]
    assert first["output"] == "64 x 224 x 224"
    assert (first["receptive field, px"], first["jump, px"]) == ("3", "1")


def test_other_networks_have_no_receptive_fields_and_module_paths_as_names():
    with torch.device("meta"):
        rows, _ = layer_rows(measure(resnet18(), (3, 224, 224), batch_size=2))
    assert "receptive field, px" not in rows[0]
    names = [row["layer"] for row in rows]
    assert names[:4] == ["conv1", "bn1", "relu", "maxpool"]
    assert "layer1.0" in names
    assert "" not in names


def test_most_parameters_are_in_the_head_and_most_macs_in_convolutions(cost):
    conv, fc, both = share_rows(cost)
    assert number(conv["parameters"]) == 14_714_688
    assert number(fc["parameters"]) == 138_357_544 - 14_714_688
    assert number(conv["share"]) == pytest.approx(10.6)
    assert number(fc["share of MACs"]) == pytest.approx(0.8)
    assert both["MACs"] == "15,470,264,320"


def test_memory_rows_name_each_part(cost):
    rows = memory_rows(cost)
    assert rows[0] == {"memory": "weights", "MB": "553.43"}
    assert len(rows) == 7


def test_parameter_counts_match_the_paper():
    costs = {}
    for name in VARIANTS:
        with torch.device("meta"):
            costs[name] = measure(build(name), (3, 224, 224), batch_size=2)
    rows = comparison_rows(costs)
    assert len(rows) == len(VARIANTS)
    for row in rows:
        assert round(number(row["parameters"]) / 1e6) == int(row["paper, M"]), row
        assert int(row["conv and FC layers"]) == int(row["network"][3:5])
    assert list(MILLIONS.values()) == [133, 133, 133, 134, 138, 144]


def test_table_1_matches_the_paper():
    rows, ends = table_1()
    columns = list(rows[0])
    assert columns == [
        "A: 11 weight layers",
        "A-LRN: 11 weight layers",
        "B: 13 weight layers",
        "C: 16 weight layers",
        "D: 16 weight layers",
        "E: 19 weight layers",
    ]
    assert list(rows[1].values()) == ["", "LRN", *["conv3-64"] * 4]
    c = [row[columns[3]] for row in rows if row[columns[3]].startswith("conv1")]
    assert c == ["conv1-256", "conv1-512", "conv1-512"]
    assert all(set(rows[end].values()) == {"maxpool"} for end in ends)
    assert len(ends) == 5
    assert [row[columns[0]] for row in rows[-4:]] == ["FC-4096", "FC-4096", "FC-1000", "soft-max"]

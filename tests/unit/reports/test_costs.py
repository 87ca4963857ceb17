"""Costs of networks as reports, and their formats."""

import csv
import io
import json

import pytest

from vgg_lit.errors import InputError
from vgg_lit.reports.costs import format_report, report_one

MODEL = {"_target_": "vgg_lit.models.build", "variant": [[4], [6, 6]], "head": "linear"}
DATA = {"num_classes": 3, "in_channels": 1, "image_size": 8}


@pytest.fixture(scope="module")
def report():
    return report_one(dict(MODEL), DATA, batch_size=2, precision="32-true")


def test_layers_are_counted(report):
    layers = {layer["name"]: layer for layer in report.record["layers"]}
    assert layers["block1_conv1"]["parameters"] == 4 * 9 + 4
    assert layers["block1_conv1"]["macs"] == 4 * 9 * 64
    assert layers["block2_conv2"]["macs"] == 6 * 6 * 9 * 16
    (last,) = [layer for name, layer in layers.items() if name.startswith("fc")]
    assert last["macs"] == 6 * 2 * 2 * 3
    assert report.facts["input"] == "2 images of 1 x 8 x 8"


def test_json_has_all_numbers_and_units(report):
    record = json.loads(format_report(report, ".json"))
    assert record["batch_size"] == 2
    assert record["input"] == [1, 8, 8]
    assert record["units"]["memory"] == "bytes"
    assert len(record["layers"]) == len(report.table)


def test_csv_has_a_row_per_layer_and_no_lists(report):
    rows = list(csv.DictReader(io.StringIO(format_report(report, ".csv"))))
    assert [row["name"] for row in rows] == [layer["name"] for layer in report.record["layers"]]
    assert (rows[0]["output_shape"], rows[0]["sees"], rows[0]["jump"]) == ("4 x 8 x 8", "3", "1")
    assert not [value for row in rows for value in row.values() if "[" in value]


def test_markdown_has_facts_and_tables(report):
    text = format_report(report, ".md")
    assert text.startswith("- network: ")
    assert text.count("\n## ") == len(report.tables) == 3


def test_networks_without_receptive_fields_have_empty_cells():
    small = {"_target_": "vgg_lit.models.resnet18"}
    report = report_one(small, {**DATA, "image_size": 32, "in_channels": 3}, 1, "32-true")
    assert {row["sees"] for row in report.table} == {""}


@pytest.mark.parametrize("key", ["in_channels", "image_size"])
def test_a_shape_that_the_data_give_is_asked_for(key):
    with pytest.raises(InputError, match=r"^data: its channels and image size are known when"):
        report_one(dict(MODEL), {**DATA, key: None}, 1, "32-true")

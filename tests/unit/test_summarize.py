"""The cost tables that `summarize` prints and writes."""

import csv
import json
import re

import pytest
import torch
import torchvision

from vgg_lit.models import VARIANTS
from vgg_lit.reports.costs import COMPARED

PAPER = (
    "model.head=imagenet",
    "data.in_channels=3",
    "data.image_size=224",
    "data.num_classes=1000",
)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_layer_is_shown_with_the_name_of_the_paper(verb, empty_folder):
    done = verb("summarize", "model=vgg16", *PAPER, "batch_size=2", "precision=32-true")
    assert done.code == 0, done.err
    assert not list(empty_folder.iterdir())
    lines = {cells[0]: cells for cells in map(cells_of, done.out.splitlines()) if cells}
    assert lines["block1_conv1"][1:4] == ["64 x 224 x 224", "1,792", "86,704,128"]
    assert lines["fc8"][2] == "4,097,000"
    assert lines["convolutions"][1:3] == ["14,714,688", "10.6 %"]
    assert lines["weights"][1] == "553.43"
    assert "15,470,264,320" in done.out
    assert "multiply-adds per image of convolutions and matrix products" in done.out
    assert "precision  32-true" in done.out


def cells_of(line):
    return [cell.strip() for cell in re.findall(r"(?<=│)[^│]+(?=│)", line)]


def test_the_default_is_the_network_of_train(verb, tiny_run):
    done = verb("summarize", "output=cost.json", "model.width=0.03125")
    assert done.code == 0, done.err
    with open("cost.json", encoding="utf-8") as file:
        record = json.load(file)
    net = tiny_run.load_classifier().net
    assert sum(layer["parameters"] for layer in record["layers"]) == sum(
        p.numel() for p in net.parameters()
    )
    assert record["input"] == [1, 32, 32]


def test_a_run_is_shown_with_its_settings(verb, tiny_run):
    done = verb("summarize", f"run={tiny_run.path}", "output=cost.json")
    assert done.code == 0, done.err
    with open("cost.json", encoding="utf-8") as file:
        record = json.load(file)
    assert record["network"] == "vgg13_bn"
    assert record["batch_size"] == 16
    assert record["precision"] == "32-true"
    assert record["units"]["memory"] == "bytes"
    names = [layer["name"] for layer in record["layers"]]
    assert names == list(tiny_run.load_classifier().net.layer_paths)


def test_csv_has_a_row_per_layer(verb):
    assert verb("summarize", "model=vgg11", "output=deep/cost.csv").code == 0
    with open("deep/cost.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["name"] == "block1_conv1"
    assert rows[0]["output_shape"] == "64 x 32 x 32"
    assert (rows[0]["sees"], rows[0]["jump"]) == ("3", "1")
    assert sum(int(row["parameters"]) for row in rows) == 9_224_458


def test_markdown_is_the_printed_output(verb):
    assert verb("summarize", "model=vgg11", "output=cost.md").code == 0
    with open("cost.md", encoding="utf-8") as file:
        text = file.read()
    assert "| block1_conv1 | 64 x 32 x 32 | 640 |" in text
    assert text.count("\n## ") == 3


def macs(places, fully_connected):
    """The multiply-adds of convolutions, (side, inputs, outputs, kernel) each, and linear layers."""
    return sum(s * s * i * o * k * k for s, i, o, k in places) + fully_connected


HEAD = 7 * 7 * 512 * 4096 + 4096 * 4096 + 4096 * 1000
A = [(224, 3, 64, 3), (112, 64, 128, 3), (56, 128, 256, 3), (56, 256, 256, 3), (28, 256, 512, 3)]
A += [(28, 512, 512, 3), (14, 512, 512, 3), (14, 512, 512, 3)]
B = [*A, (224, 64, 64, 3), (112, 128, 128, 3)]
ENDS = [(56, 256, 256), (28, 512, 512), (14, 512, 512)]  # blocks 3 to 5
C, D = ([*B, *((*end, kernel) for end in ENDS)] for kernel in (1, 3))
E = [*D, *((*end, 3) for end in ENDS)]
MACS = {
    "vgg11": macs(A, HEAD),
    "vgg13": macs(B, HEAD),
    "vgg16_1x1": macs(C, HEAD),
    "vgg16": macs(D, HEAD),
    "vgg19": macs(E, HEAD),
}


def test_all_lists_the_networks_of_the_paper_and_two_others(verb):
    done = verb("summarize", "model=all", "batch_size=2", "precision=32-true", "output=all.json")
    assert done.code == 0, done.err
    with open("all.json", encoding="utf-8") as file:
        networks = {network["network"]: network for network in json.load(file)["networks"]}
    assert list(networks) == [*VARIANTS, *COMPARED]
    for name, network in networks.items():
        if name in COMPARED:
            published = torchvision.models.get_model_weights(name).DEFAULT.meta["_ops"]
            assert network["macs"] == pytest.approx(1e9 * published, rel=1e-3)
        else:
            assert network["macs"] == MACS[name.removesuffix("_bn").removesuffix("_lrn")]
        if reference := getattr(torchvision.models, name, None):
            with torch.device("meta"):
                count = sum(p.numel() for p in reference().parameters())
            assert network["parameters"] == count
    assert "E: 19 weight layers" in done.out
    assert "conv1-512" in done.out
    rows = {cells[0]: cells for cells in map(cells_of, done.out.splitlines()) if cells}
    assert rows["vgg16_1x1"][1:5] == ["C", "16", "133,638,952", "134"]
    assert rows["resnet50"][3] == "25,557,032"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("model=vgg12",), ["model=vgg12", "allowed: all", "vgg11"]),
        (("model=all", "data=cifar10"), ["data=cifar10", "model=all"]),
        (("run=nowhere",), ["run=nowhere", "no such directory"]),
        (("run=nowhere", "model=vgg11"), ["model=vgg11: cannot be combined with run=nowhere"]),
        (
            ("run=nowhere", "data.image_size=64"),
            ["data.image_size=64: cannot be combined with run=nowhere"],
        ),
        (("output=cost.txt",), ["output=cost.txt", ".json, .csv, .md"]),
        (("batch_size=0",), ["batch_size=0"]),
        (("precision=int8",), ["precision=int8", "bf16-mixed"]),
        (("data.image_size=16",), ["image_size=16 is too small"]),
        (("model.head=cifar", "batch_size=1"), ["batch_size=1", "more than 1 value"]),
        (("model.widht=2",), ["did you mean model.width"]),
    ],
)
def test_bad_input_is_one_line(arguments, words, verb, empty_folder):
    done = verb("summarize", *arguments)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert all(word in done.err for word in words), done.err
    assert not list(empty_folder.iterdir())


@pytest.mark.parametrize(("labels", "classes"), [("fine", 100), ("coarse", 20)])
def test_classes_that_depend_on_the_data_are_counted(verb, labels, classes):
    done = verb("summarize", "data=cifar100", f"data.source.labels={labels}", "model=vgg11")
    assert f"{512 * classes + classes:,}" in done.out

"""The tables and the page that `compare` writes."""

import base64
import csv
import io
import re
import shutil

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

FILES = [
    *("comparison.csv", "comparison.html", "comparison.md", "comparison.tex"),
    "curves.png",
]


@pytest.fixture
def runs(tiny_run, tmp_path, monkeypatch):
    """A trained run, and a copy with another seed and rate, and a name that is HTML markup."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        shutil.copytree(tiny_run.path, tmp_path / "runs" / name)
    config = OmegaConf.load("runs/b/config.yaml")
    config.seed = config.data.seed = 1
    config.optimizer.lr = 0.5
    config.name = "<b> & co"
    OmegaConf.save(config, "runs/b/config.yaml")
    return tmp_path / "runs"


def test_compare_writes_tables_and_the_curves(verb, runs, tiny_run):
    done = verb("compare", "runs=runs")
    assert done.code == 0, done.err
    assert sorted(path.name for path in (runs.parent / "comparison").iterdir()) == FILES
    with open("comparison/comparison.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], row["seed"]) for row in rows] == [("a", "0"), ("b", "1")]
    assert float(rows[0]["test/acc"]) == tiny_run.metrics["test/acc"]
    parameters = sum(p.numel() for p in tiny_run.load_classifier().net.parameters())
    assert {row["parameters"] for row in rows} == {str(parameters)}
    shown = f"{100 * tiny_run.metrics['test/acc']:.2f} %"
    markdown = (runs.parent / "comparison/comparison.md").read_text()
    assert markdown.startswith("# 2 runs by val/acc\n")
    assert f"| {shown} |" in markdown
    assert shown in done.out
    assert f"{parameters:,}" in done.out
    assert np.asarray(Image.open("comparison/curves.png").convert("L")).std() > 10


def test_the_page_is_self_contained_and_escapes_names(verb, runs):
    assert verb("compare", "runs=[runs/a,runs/b]", "sort=seed", "output=deep/page").code == 0
    page = (runs.parent / "deep/page/comparison.html").read_text()
    assert not re.search(r"https?:|src=(?!\"data:)|href=", page)
    assert "&lt;b&gt; &amp; co" in page
    assert "<b>" not in page
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(data) == (runs.parent / "deep/page/curves.png").read_bytes()
    Image.open(io.BytesIO(base64.b64decode(data))).verify()


def test_runs_without_metrics_are_sorted_by_name(verb, runs):
    for name in "ab":
        (runs / name / "metrics.json").unlink()
        (runs / name / "metrics.csv").unlink()
    done = verb("compare", "runs=runs")
    assert done.code == 0, done.err
    assert "2 runs by run" in done.out
    assert not (runs.parent / "comparison/curves.png").exists()


def test_a_custom_network_must_be_trusted(verb, runs, monkeypatch):
    (runs.parent / "own_net.py").write_text(
        "from torch import nn\ndef net(num_classes):\n    return nn.Linear(4, num_classes)\n"
    )
    monkeypatch.syspath_prepend(runs.parent)
    monkeypatch.setattr("vgg_lit.targets._trusted", set())
    config = OmegaConf.load("runs/b/config.yaml")
    config.model = {"_target_": "own_net.net", "num_classes": 10}
    OmegaConf.save(config, "runs/b/config.yaml")
    done = verb("compare", "runs=runs")
    assert done.code == 2
    assert "trusted_targets=[own_net]" in done.err
    done = verb("compare", "runs=runs", "trusted_targets=[own_net]")
    assert done.code == 0, done.err
    with open("comparison/comparison.csv", encoding="utf-8", newline="") as file:
        assert "50" in {row["parameters"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", ["columns=[lr]", "metrics=[lr]"])
def test_chosen_metrics_and_curves(name, verb, runs):
    done = verb("compare", "runs=runs", name, "curves=[lr]", "sort=lr")
    assert done.code == 0, done.err
    with open("comparison/comparison.csv", encoding="utf-8", newline="") as file:
        assert "val/acc" not in next(csv.reader(file))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["runs: is needed"]),
        (("runs=nowhere",), ["runs=nowhere", "no such directory"]),
        (("runs=runs/a",), ["1 run found: runs/a; at least 2"]),
        (("runs=runs", "sort=val/ac"), ["unknown column 'val/ac'", "Did you mean 'val/acc'"]),
        (("runs=runs", "columns=[top]"), ["unknown metric 'top'", "test/top5"]),
        (("runs=runs", "curves=[loss]"), ["unknown epoch metric 'loss'", "train/loss"]),
        (("runs=runs", "curves=[]"), ["curves=[]", "1 or more values"]),
        (("runs=runs", "order=up"), ["unknown key order", "sort"]),
    ],
)
def test_bad_input_is_one_line_before_anything_is_written(arguments, words, verb, runs):
    done = verb("compare", *arguments)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert all(word in done.err for word in words), done.err
    assert not (runs.parent / "comparison").exists()


def test_a_folder_with_the_name_of_a_file_is_refused_before_the_work(verb, tmp_path):
    (tmp_path / "here" / "comparison.csv").mkdir(parents=True)
    done = verb("compare", "runs=nowhere", f"output={tmp_path / 'here'}")
    assert done.code == 2
    assert "comparison.csv: is a folder, but a file is written there; rename it\n" in done.err

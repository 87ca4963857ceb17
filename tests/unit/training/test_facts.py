"""Facts of a run that are printed and recorded."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from vgg_lit.runs import Run
from vgg_lit.training.facts import print_footer, print_header, record_damage, record_weights
from vgg_lit.weights.transfer import Transfer


@pytest.fixture
def run(tmp_path):
    config = {"seed": 0, "trusted_targets": ["mine"]}
    return Run.start(tmp_path / "a run", config, [])


def header(capsys, run, **data):
    source = SimpleNamespace(name="pets", in_channels=3, **data.pop("source", {}))
    datamodule = SimpleNamespace(
        **{
            "folds": None,
            "fold": None,
            "sizes": {"train": 1200, "val": 0},
            "image_size": 32,
            "classes": ("a", "b"),
            "class_sizes": {},
            "source": source,
            **data,
        }
    )
    device = SimpleNamespace(root_device=torch.device("cpu"))
    trainer = SimpleNamespace(world_size=2, strategy=device)
    config = {
        "model": {"_target_": "vgg_lit.models.build", "variant": "vgg11"},
        "trainer": {"precision": "32-true", "accelerator": "cpu"},
    }
    print_header(run, trainer, SimpleNamespace(net=nn.Linear(3, 2)), datamodule, config)
    return capsys.readouterr().out


def test_the_header_has_data_network_and_device(run, capsys):
    out = header(capsys, run)
    assert "pets: 1,200 train; 2 classes" in out
    assert "val" not in out
    assert "vgg11, 8 parameters, input 3 x 32 x 32" in out
    assert "2 x cpu, 32-true (" in out


def test_the_header_has_the_fold_and_the_facts_of_the_source(run, capsys):
    facts = {"source": {"facts": lambda: {"left out": "3 files"}}}
    out = header(capsys, run, folds=5, fold=0, sizes={"train": 4, "val": 1}, **facts)
    assert "4 train, 1 val (fold 0 of 5)" in out
    assert "left out" in out


def test_copied_and_frozen_weights_are_recorded(run, capsys):
    net = nn.Linear(3, 2)
    net.weight.requires_grad_(False)
    config = {"init": {"from": "a\x1b.pth"}, "freeze": ["features"]}
    transfer = Transfer({"conv1": "conv1"}, ("fc3",), layout="torchvision")
    record_weights(run, SimpleNamespace(net=net), transfer, config)
    out = capsys.readouterr().out
    assert "features: 6 parameters" in out
    assert "\x1b" not in out
    record = json.loads((run.path / "init.json").read_text())
    assert record["from"] == "a\x1b.pth"
    assert record["layout"] == "torchvision"


def test_nothing_is_recorded_without_origin(run, capsys):
    record_weights(run, SimpleNamespace(net=nn.Linear(1, 1)), None, {"freeze": [], "init": {}})
    assert capsys.readouterr().out == ""
    assert not (run.path / "init.json").exists()


def test_damaged_images_are_listed_by_name(run):
    damaged = {"b.png": "empty", "a\nb.png": "cut"}
    record_damage(run, SimpleNamespace(source=SimpleNamespace(damaged_files=damaged)))
    assert (run.path / "damaged.txt").read_text() == "a\\nb.png: cut\nb.png: empty\n"
    (run.path / "damaged.txt").unlink()
    for source in (SimpleNamespace(), SimpleNamespace(damaged_files={})):
        record_damage(run, SimpleNamespace(source=source))
    assert not (run.path / "damaged.txt").exists()


def test_the_footer_has_commands_that_can_be_pasted(run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "500")
    print_footer(run, {"wandb": "wandb sync x"})
    out = capsys.readouterr().out
    assert f"tensorboard --logdir '{run.path}'" in out
    assert "wandb sync x" in out
    assert "vgg_lit.evaluate" not in out  # there is no checkpoint
    run.checkpoints.mkdir()
    (run.checkpoints / "last.ckpt").touch()
    (run.path / "fit-profile.txt").touch()
    print_footer(run, {})
    out = capsys.readouterr().out
    for command in ("evaluate", "predict", "visualize", "export"):
        (line,) = [line for line in out.splitlines() if f"python -m vgg_lit.{command} " in line]
        assert f"""'run="{run.path}"'""" in line
        assert "trusted_targets=[mine]" in line
    assert str(Path("checkpoints/last.ckpt")) in out
    assert "fit-profile.txt" in out

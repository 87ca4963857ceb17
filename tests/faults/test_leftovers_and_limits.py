"""Variables of an earlier launcher, weights that are not finite, and batch norm with one image."""

import os
import shutil

import pytest
import torch
from PIL import Image

from vgg_lit.launching.ddp import cluster_environment
from vgg_lit.runs import Run


def test_variables_of_an_earlier_launcher_are_ignored(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    for name, value in (("MASTER_ADDR", "192.0.2.1"), ("MASTER_PORT", "1"), ("NODE_RANK", "1")):
        monkeypatch.setenv(name, value)
    environment = cluster_environment()
    assert environment.main_address == "127.0.0.1"
    assert environment.main_port != 1
    assert environment.node_rank() == 0
    monkeypatch.setenv("MASTER_PORT", "1")
    monkeypatch.setenv("LOCAL_RANK", "1")  # a rank that a first process has started
    assert cluster_environment().main_port == 1


@pytest.mark.slow  # two processes
@pytest.mark.parametrize("rank", ["0", "1"])
def test_two_processes_connect_in_spite_of_left_over_variables(rank, command, tiny, tmp_path):
    env = {"MASTER_ADDR": "192.0.2.1", "MASTER_PORT": "1", "LOCAL_RANK": rank}
    before = {name: os.environ.get(name) for name in env}
    os.environ |= env
    try:
        done = command("train", *tiny, "trainer.devices=2", "logger=none", cwd=tmp_path)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    assert done.code == 0, done.err


@pytest.fixture
def broken_run(tiny_run, tmp_path):
    """A copy of a run whose best checkpoint has a weight that is NaN."""
    shutil.copytree(tiny_run.path, tmp_path / "run")
    run = Run(tmp_path / "run")
    file = run.checkpoint("best")
    checkpoint = torch.load(file, weights_only=True)
    name = next(name for name in checkpoint["state_dict"] if name.endswith("weight"))
    checkpoint["state_dict"][name].fill_(float("nan"))
    torch.save(checkpoint, file)
    file.with_name("best.ckpt.sha256").unlink()
    return run


def test_a_prediction_that_is_not_finite_is_an_error(broken_run, verb, tmp_path):
    Image.new("L", (28, 28)).save(tmp_path / "image.png")
    done = verb("predict", f"run={broken_run.path}", f"images={tmp_path}/image.png")
    assert done.code == 1
    assert done.err.startswith("error: the network's output is not finite")
    assert done.err.count("\n") == 1
    assert not (broken_run.path / "predictions.csv").exists()


def test_a_score_that_is_not_finite_is_an_error(broken_run, verb):
    done = verb("evaluate", f"run={broken_run.path}", "accelerator=cpu")
    assert done.code == 1, done
    assert "the scores are not finite" in done.err
    assert done.err.count("\n") == 1
    assert not (broken_run.path / "evaluations").exists()


@pytest.mark.parametrize(
    ("overrides", "remedy"),
    [
        (("data.batch_size=1", "model.head=cifar"), "data.batch_size=2 or more"),
        (
            (
                "data.batch_size=2",
                "model.head=cifar",
                "trainer.devices=2",
                "trainer.accelerator=cpu",
            ),
            "more than one image in each process; set data.batch_size=4 or more",
        ),
        (("data.batch_size=1", "model=resnet18", "data.image_size=28"), None),
    ],
)
def test_batch_norm_with_one_image_is_refused(overrides, remedy, compose):
    from vgg_lit.config.checks import check_train, to_plain
    from vgg_lit.errors import ConfigError

    plain = to_plain(compose(*overrides))
    if remedy is None:
        check_train(plain)
        return
    with pytest.raises(ConfigError, match=f"batch norm needs.*{remedy}"):
        check_train(plain)


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=vgg11", "model.head=linear"),  # no batch norm
        ("model=vgg11_bn", "model.head=linear"),  # maps of 2 x 2 pixels have four values
    ],
)
def test_one_image_trains_where_it_can(overrides, train, tmp_path):
    sizes = ("data.batch_size=1", "data.train_size=4", "data.val_fraction=0")
    run = train(tmp_path / "run", *overrides, *sizes, "augment=none", "logger=none")
    assert run.status["status"] == "done"

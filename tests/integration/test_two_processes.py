"""Training in two processes, compared bit for bit with Lightning's plain DDP."""

import csv
import shutil

import pytest
import torch
from omegaconf import OmegaConf

from vgg_lit.checkpoints.storage import write_checkpoint
from vgg_lit.runs import Run

PLAIN = "trainer.strategy=ddp_find_unused_parameters_false"  # one of Lightning's strategy names, passed through
TWO = ("trainer.devices=2", "trainer.max_epochs=2", "data.val_fraction=0.02", "optimizer.lr=0.01")


@pytest.fixture
def fit(command, tiny, tmp_path):
    """`fit("name", "trainer.devices=2")`: a run of two processes."""

    def fit(name, *overrides):
        done = command("train", *tiny, *TWO, *overrides, f"name={name}", cwd=tmp_path)
        assert done.code == 0, done.err
        assert "Grad strides do not match" not in done.err
        (path,) = (tmp_path / "logs/runs" / name).iterdir()
        return Run(path)

    return fit


def content(run, name="last"):
    checkpoint = torch.load(run.checkpoint(name), weights_only=True)
    return {**checkpoint["state_dict"], **checkpoint.get("current_model_state", {})}


def rows(run):
    with run.metrics_file.open() as lines:
        table = list(csv.DictReader(lines))
    return [{k: v for k, v in row.items() if not k.startswith("throughput")} for row in table]


def assert_same(found, expected):
    assert rows(found) == rows(expected)
    assert len(rows(expected)) == 2
    for name in ("last", "best"):
        ours, theirs = content(found, name), content(expected, name)
        assert list(ours) == list(theirs)
        assert [key for key in theirs if not torch.equal(ours[key], theirs[key])] == []


@pytest.mark.parametrize(
    "options",
    [
        (),
        pytest.param(("trainer.accumulate_grad_batches=2",), marks=pytest.mark.slow),
        pytest.param(("freeze=[block1]",), marks=pytest.mark.slow),
        pytest.param(("optimizer=muon", "model.head=cifar"), marks=pytest.mark.slow),
        pytest.param(("callbacks=[default,ema]",), marks=pytest.mark.slow),
        pytest.param(
            ("callbacks=[default,swa]", "callbacks.swa.from_epoch=1"), marks=pytest.mark.slow
        ),
        pytest.param(
            ("trainer.check_val_every_n_epoch=2", "model.head=cifar"), marks=pytest.mark.slow
        ),
    ],
    ids=lambda options: ",".join(options) or "default",
)
def test_optimised_communication_is_bit_identical(options, fit):
    assert_same(fit("ours", *options), fit("plain", PLAIN, *options))


@pytest.mark.slow
def test_compressed_gradients_are_reduced_in_bf16(fit):
    exact, compressed = fit("exact"), fit("compressed", "trainer.gradient_compression=bf16")
    assert content(exact).keys() == content(compressed).keys()
    for name, tensor in content(compressed).items():
        torch.testing.assert_close(tensor, content(exact)[name], rtol=0.1, atol=0.02)
    assert any(not torch.equal(content(exact)[name], t) for name, t in content(compressed).items())


CRASH = """
import lightning.pytorch as L

class Crash(L.Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.ckpt_path is None and (trainer.current_epoch, batch_idx) == (1, 2):
            raise RuntimeError("crash")
"""


@pytest.mark.slow
def test_two_processes_resume_bit_identically(command, fit, tiny, tmp_path):
    (tmp_path / "crash.py").write_text(CRASH)
    whole = fit("whole")
    crash = ("name=broken", "trusted_targets=[crash]", "+callbacks.crash._target_=crash.Crash")
    environment = {"cwd": tmp_path, "PYTHONPATH": str(tmp_path)}
    assert command("train", *tiny, *TWO, *crash, **environment).code == 1
    (path,) = (tmp_path / "logs/runs/broken").iterdir()
    assert [row["epoch"] for row in rows(Run(path))] == ["1"]
    done = command("train", f"resume={path}", "trusted_targets=[crash]", **environment)
    assert done.code == 0, done.err
    assert_same(Run(path), whole)


@pytest.mark.slow
def test_changed_settings_of_a_resume_reach_both_processes(command, fit, tiny, tmp_path):
    """The reference is a run whose files already held the new momentum."""
    run = fit("changed", "trainer.max_epochs=1")
    reference = Run(shutil.copytree(run.path, tmp_path / "reference"))
    checkpoint = torch.load(reference.checkpoint("last"), weights_only=True)
    checkpoint["hyper_parameters"]["optimizer"]["momentum"] = 0.5
    for group in checkpoint["optimizer_states"][0]["param_groups"]:
        group["momentum"] = 0.5
    write_checkpoint(checkpoint, reference.checkpoint("last"))
    config = OmegaConf.load(reference.path / "config.yaml")
    config.optimizer.momentum = 0.5
    OmegaConf.save(config, reference.path / "config.yaml")
    for path, settings in ((run.path, ["optimizer.momentum=0.5"]), (reference.path, [])):
        done = command("train", f"resume={path}", "trainer.max_epochs=2", *settings, cwd=tmp_path)
        assert done.code == 0, done.err
    assert_same(run, reference)

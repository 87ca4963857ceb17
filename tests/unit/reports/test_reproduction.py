"""Two runs of the same config are compared exactly."""

import json
import shutil

import pytest
import torch

from vgg_lit.checkpoints.storage import read_checkpoint
from vgg_lit.errors import InputError
from vgg_lit.reports.reproduction import Reproduction, check_original
from vgg_lit.runs import Run


@pytest.fixture
def repeated(tiny_run, tmp_path):
    shutil.copytree(tiny_run.path, tmp_path / "repeated")
    return Run(tmp_path / "repeated")


def rewrite(run, name, **changes):
    file = run.path / name
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_timing_and_location_are_ignored(tiny_run, repeated):
    rewrite(repeated, "metrics.json", seconds=1e9)
    rewrite(repeated, "environment.json", host="elsewhere", directory="/", command=[])
    found = Reproduction(tiny_run, repeated)
    assert found.is_exact
    assert found.metrics == found.environment == {}
    assert set(found.weights) == {"best", "last"}
    assert all(weights.tensors > 10 for weights in found.weights.values())


def test_a_changed_weight_is_found(tiny_run, repeated):
    file = repeated.checkpoints / "last.ckpt"
    content = read_checkpoint(file)
    name = next(name for name in content["state_dict"] if name.endswith("weight"))
    content["state_dict"][name].view(-1)[0] += 0.5
    (repeated.checkpoints / "last.ckpt.sha256").unlink(missing_ok=True)
    torch.save(content, file)
    found = Reproduction(tiny_run, repeated)
    assert not found.is_exact
    assert (found.weights["best"].differing, found.weights["last"].differing) == (0, 1)
    assert found.weights["last"].distance == pytest.approx(0.5)


def test_a_changed_metric_is_found_with_its_difference(tiny_run, repeated):
    accuracy = tiny_run.metrics["test/acc"]
    rewrite(repeated, "metrics.json", **{"test/acc": accuracy + 0.25})
    found = Reproduction(tiny_run, repeated)
    assert not found.is_exact
    assert found.metrics == {"test/acc": (accuracy, accuracy + 0.25)}
    assert found.largest_move() == ("test/acc", pytest.approx(0.25))


def test_a_metric_that_is_nan_in_both_runs_is_equal(tiny_run, repeated, tmp_path):
    original = Run(shutil.copytree(tiny_run.path, tmp_path / "original"))
    for run in (original, repeated):
        rewrite(run, "metrics.json", **{"test/auroc": float("nan")})
    found = Reproduction(original, repeated)
    assert found.is_exact
    assert not found.metrics
    (name,) = Reproduction(tiny_run, repeated).metrics
    assert name == "test/auroc"


def test_a_changed_epoch_metric_is_found(tiny_run, repeated):
    first, *rest = repeated.metrics_file.read_text().splitlines()
    column = first.split(",").index("train/loss")
    cells = rest[0].split(",")
    was, cells[column] = float(cells[column]), "9.5"
    repeated.metrics_file.write_text("\n".join([first, ",".join(cells), *rest[1:]]) + "\n")
    assert Reproduction(tiny_run, repeated).metrics == {"epoch 1 train/loss": (was, 9.5)}


def test_a_different_package_version_is_named(tiny_run, repeated):
    packages = json.loads((tiny_run.path / "environment.json").read_text())["packages"]
    rewrite(repeated, "environment.json", packages=packages | {"torch": "0.1"}, cpu_threads=99)
    found = Reproduction(tiny_run, repeated)
    assert found.is_exact  # the environment does not count
    assert found.environment["packages torch"] == (packages["torch"], "0.1")
    assert found.environment["cpu_threads"][1] == 99


def test_a_different_setting_is_named_once(tiny_run, train, tmp_path):
    other = train(tmp_path / "other", "trainer.max_epochs=2", "optimizer.lr=0.05", "seed=1")
    found = Reproduction(tiny_run, other)
    assert found.settings == {"optimizer.lr": (0.1, 0.05), "seed": (0, 1)}
    assert found.causes[:2] == ["optimizer.lr", "seed"]
    assert not found.is_exact


@pytest.mark.parametrize("kept", ["best", "last"])
def test_runs_that_keep_one_checkpoint_are_compared(kept, tiny_run, repeated):
    other = "last" if kept == "best" else "best"
    (repeated.checkpoints / f"{other}.ckpt").unlink()
    found = Reproduction(tiny_run, repeated)
    assert found.is_exact
    assert set(found.weights) == {kept}
    assert not found.settings


def test_the_data_location_is_ignored(tiny_run, repeated):
    file = repeated.path / "config.yaml"
    root = repeated.config["data_root"]
    file.write_text(file.read_text().replace(f"data_root: {root}", "data_root: elsewhere"))
    assert repeated.config["data_root"] == "elsewhere"
    assert Reproduction(tiny_run, repeated).settings == {}


def test_the_checkpoint_takes_precedence_over_an_edited_config(tiny_run, repeated):
    """The checkpoint still holds the settings of the training."""
    file = repeated.path / "config.yaml"
    file.write_text(file.read_text().replace("lr: 0.1", "lr: 0.05"))
    assert Reproduction(repeated, tiny_run).settings == {}


@pytest.mark.parametrize("which", ["original", "repeated", "both"])
def test_runs_without_checkpoints_are_compared_by_their_metrics(
    which, tiny_run, repeated, tmp_path
):
    original = Run(shutil.copytree(tiny_run.path, tmp_path / "original"))
    for run in {"original": [original], "repeated": [repeated]}.get(which, [original, repeated]):
        shutil.rmtree(run.checkpoints)
    check_original(original)
    found = Reproduction(original, repeated)
    assert found.is_exact
    assert (found.weights, found.settings) == ({}, {})
    rewrite(repeated, "metrics.json", **{"test/acc": 2.0})
    assert not Reproduction(original, repeated).is_exact


def test_an_intact_run_can_be_compared(tiny_run):
    check_original(tiny_run)


@pytest.mark.parametrize("damage", ["cut", "tensor", "metrics", "environment"])
def test_a_damaged_original_is_refused_before_it_is_trained_again(damage, repeated):
    last = repeated.checkpoints / "last.ckpt"
    if damage == "cut":
        last.write_bytes(last.read_bytes()[:-100])
    elif damage == "tensor":
        content = read_checkpoint(last)
        content["hyper_parameters"]["optimizer"] = {"lr": torch.ones(1)}
        last.with_name("last.ckpt.sha256").unlink()
        torch.save(content, last)
    else:
        (repeated.path / f"{damage}.json").write_text("{")
    name = f"{damage}.json" if damage in ("metrics", "environment") else "last.ckpt"
    with pytest.raises(InputError, match=name.replace(".", r"\.")) as caught:
        check_original(repeated)
    assert "\n" not in str(caught.value)

"""Two runs of the same config are compared to the bit."""

import json
import shutil

import pytest
import torch

from vgg_lit.checkpoints.storage import read_checkpoint
from vgg_lit.reports.reproduction import Reproduction
from vgg_lit.runs import Run


@pytest.fixture
def repeated(tiny_run, tmp_path):
    shutil.copytree(tiny_run.path, tmp_path / "repeated")
    return Run(tmp_path / "repeated")


def rewrite(run, name, **changes):
    file = run.path / name
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_what_no_two_runs_share_does_not_count(tiny_run, repeated):
    rewrite(repeated, "metrics.json", seconds=1e9)
    rewrite(repeated, "environment.json", host="elsewhere", directory="/", command=[])
    found = Reproduction(tiny_run, repeated)
    assert found.is_exact
    assert found.metrics == found.environment == {}
    assert set(found.weights) == {"best", "last"}
    assert all(weights.tensors > 10 for weights in found.weights.values())


def test_one_weight_that_moved_shows(tiny_run, repeated):
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


def test_a_figure_that_moved_shows_with_how_far(tiny_run, repeated):
    accuracy = tiny_run.metrics["test/acc"]
    rewrite(repeated, "metrics.json", **{"test/acc": accuracy + 0.25})
    found = Reproduction(tiny_run, repeated)
    assert not found.is_exact
    assert found.metrics == {"test/acc": (accuracy, accuracy + 0.25)}
    assert found.largest_move() == ("test/acc", pytest.approx(0.25))


def test_an_epoch_that_moved_shows(tiny_run, repeated):
    first, *rest = repeated.metrics_file.read_text().splitlines()
    column = first.split(",").index("train/loss")
    cells = rest[0].split(",")
    was, cells[column] = float(cells[column]), "9.5"
    repeated.metrics_file.write_text("\n".join([first, ",".join(cells), *rest[1:]]) + "\n")
    assert Reproduction(tiny_run, repeated).metrics == {"epoch 1 train/loss": (was, 9.5)}


def test_another_version_is_named(tiny_run, repeated):
    packages = json.loads((tiny_run.path / "environment.json").read_text())["packages"]
    rewrite(repeated, "environment.json", packages=packages | {"torch": "0.1"}, cpu_threads=99)
    found = Reproduction(tiny_run, repeated)
    assert found.is_exact  # only said where something moved
    assert found.environment["packages torch"] == (packages["torch"], "0.1")
    assert found.environment["cpu_threads"][1] == 99


def test_another_setting_is_named_once(tiny_run, train, tmp_path):
    other = train(tmp_path / "other", "trainer.max_epochs=2", "optimizer.lr=0.05", "seed=1")
    found = Reproduction(tiny_run, other)
    assert found.settings == {"optimizer.lr": (0.1, 0.05), "seed": (0, 1)}
    assert found.causes[:2] == ["optimizer.lr", "seed"]
    assert not found.is_exact


def test_where_the_images_lie_is_no_setting(tiny_run, repeated):
    file = repeated.path / "config.yaml"
    root = repeated.config["data_root"]
    file.write_text(file.read_text().replace(f"data_root: {root}", "data_root: elsewhere"))
    assert repeated.config["data_root"] == "elsewhere"
    assert Reproduction(tiny_run, repeated).settings == {}


def test_a_config_that_was_edited_after_training_is_found_out(tiny_run, repeated):
    """Its checkpoint still says what the training was."""
    file = repeated.path / "config.yaml"
    file.write_text(file.read_text().replace("lr: 0.1", "lr: 0.05"))
    assert Reproduction(repeated, tiny_run).settings == {}

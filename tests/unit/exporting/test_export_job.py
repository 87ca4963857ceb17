"""The export job: calibration images, and what the model card shows of a run."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from vgg_lit.exporting import job
from vgg_lit.exporting.job import CALIBRATION_BATCH, load_calibration_data


class Loaded:
    """A data module with batches of the given size; image i has the level i."""

    def __init__(self, count):
        self.sizes = {"train": count}
        self.batch_size = 500

    def train_dataloader(self):
        levels = torch.arange(self.sizes["train"], dtype=torch.uint8).view(-1, 1, 1, 1)
        for part in levels.split(self.batch_size):
            if len(part) == self.batch_size:
                yield part, None, None


@pytest.mark.parametrize("count", [1, 31, 32, 33, 70])
def test_the_first_images_calibrate_and_no_more(count):
    batches = list(job._calibration(Loaded(200), count))
    found = torch.cat(batches).flatten().tolist()
    assert found == list(range(count))
    assert max(map(len, batches)) <= CALIBRATION_BATCH


def test_a_small_training_split_calibrates_as_a_whole():
    assert len(torch.cat(list(job._calibration(Loaded(5), 100)))) == 5


@pytest.fixture
def card(monkeypatch):
    """`card(config, metrics)`: the arguments of the model card of a run."""

    def card(config, metrics=None, run="a`b", checkpoint="best"):
        monkeypatch.setattr(
            job, "ModelCard", lambda **found: SimpleNamespace(to_markdown=lambda: found)
        )
        trained = SimpleNamespace(
            run=SimpleNamespace(
                config=config,
                metrics=metrics or {},
                label=run,
                path=Path("x"),
                checkpoint=lambda name: Path(f"x/{name}.ckpt"),
            ),
            checkpoint=Path(f"x/{checkpoint}.ckpt"),
        )
        report = SimpleNamespace(rows=list, remarks=list)
        return job._card(trained, None, ["model.onnx"], report, SimpleNamespace(license="mit"))

    return card


CONFIG = {
    "seed": 0,
    "model": {"_target_": "vgg_lit.models.build", "variant": "vgg11"},
    "data": {
        "_target_": "vgg_lit.ImageDataModule",
        "root": "/secret",
        "source": {"_target_": "vgg_lit.data.ImageFolder", "root": "/secret", "size": 32},
        "augment": {"_target_": "x"},
    },
    "data_root": "/secret",
    "trainer": {"max_epochs": 3, "precision": "32-true", "accelerator": "cpu"},
}


def test_the_card_shows_settings_without_places(card):
    found = card(CONFIG)
    assert "/secret" not in found["config"]
    assert "accelerator" not in found["config"]
    for line in ("seed: 0", "size: 32", "max_epochs: 3"):
        assert line in found["config"]
    assert found["data"] == "ImageFolder"
    assert found["network"] == "vgg11"
    assert found["origin"] == "`best.ckpt` of run ``a`b``"


def test_the_card_names_the_data_module_of_the_user(card):
    found = card({**CONFIG, "data": {"_target_": "mine.MyData", "batch_size": 8}})
    assert found["data"] == "MyData"
    assert "source" not in found["config"]


def test_the_card_shows_metrics_of_validation_and_test_once(card):
    metrics = {"test/acc": 0.5, "test/top1": 0.5, "val/loss": 1.0, "train/loss": 2.0, "seconds": 9}
    assert card(CONFIG, metrics)["metrics"] == {"test/acc": 0.5, "val/loss": 1.0}


def test_the_card_says_whether_the_metrics_are_of_the_exported_weights(card, monkeypatch):
    assert card(CONFIG)["metrics_of_weights"]
    assert not card(CONFIG, checkpoint="last")["metrics_of_weights"]
    monkeypatch.setattr(job, "epoch_without_checkpoint", lambda run: 3)
    assert not card(CONFIG)["metrics_of_weights"]


def test_calibration_data_have_the_preprocessing_of_the_network(monkeypatch, capsys):
    calls, checked = [], []

    def load(run, data):
        calls.append(data)
        loaded = SimpleNamespace(source="source")
        return SimpleNamespace(datamodule=loaded, changes="1 added (a.png)")

    monkeypatch.setattr(job, "load_run_data", load)
    monkeypatch.setattr(job, "source_of", lambda data: {"source": "built"})
    trained = SimpleNamespace(run="run", preprocessing="own", check_source=checked.append)
    data = {"augment": {"_target_": "x"}, "batch_size": 2}
    assert load_calibration_data(trained, data).source == "source"
    assert calls == [{"augment": None, "batch_size": 2, "preprocessing": "own", "source": "built"}]
    assert checked == ["source"]
    assert "since the training: 1 added (a.png)" in capsys.readouterr().out

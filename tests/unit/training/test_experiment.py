"""`run_experiment`, from the config to the recorded metrics."""

import pytest
import torch

from vgg_lit.checkpoints.storage import read_checkpoint
from vgg_lit.config.checks import to_plain
from vgg_lit.errors import InputError
from vgg_lit.training.experiment import build_classifier, run_experiment
from vgg_lit.training.run_data import load_datamodule


def test_an_image_folder_sets_the_number_of_classes(compose, tmp_path):
    from PIL import Image

    for split in ("train", "test"):
        for name in ("a", "b", "c"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            Image.new("RGB", (40, 32), "red").save(folder / "1.png")
    config = to_plain(compose("data=image_folder", f"data.root={tmp_path}", "model.width=0.03125"))
    datamodule = load_datamodule(config)
    assert config["data"]["num_classes"] == config["model"]["num_classes"] == 3
    classifier = build_classifier(config, datamodule)
    assert classifier(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


def test_validation_metrics_are_those_of_the_best_checkpoint(tiny_run):
    best = read_checkpoint(tiny_run.checkpoint("best"))
    state = best["callbacks"]["Checkpointing"]
    assert tiny_run.metrics["val/loss"] == pytest.approx(state["best_score"])
    assert tiny_run.metrics["seconds"] > 0


def test_a_failed_run_records_the_error(compose, tiny, tmp_path, monkeypatch):
    config = to_plain(compose(*tiny))

    def broken(*_):
        raise RuntimeError("the roof fell in")

    monkeypatch.setattr("vgg_lit.classifier.Classifier.training_step", broken)
    with pytest.raises(RuntimeError, match="roof"):
        run_experiment(config, tmp_path / "run", [])
    status = (tmp_path / "run" / "status.json").read_text()
    assert '"failed"' in status
    assert "RuntimeError: the roof fell in" in status


def test_missing_data_leave_no_run_directory(compose, tmp_path):
    config = to_plain(
        compose("data=fashion_mnist", "data.source.download=false", "data_root=/none")
    )
    with pytest.raises(InputError, match="Fashion-MNIST"):
        run_experiment(config, tmp_path / "run", [])
    assert not (tmp_path / "run").exists()

"""Inspection returns the images of the split, and predictions and features of the network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from vgg_lit.errors import InputError
from vgg_lit.reports.inspection import PREVIEWED, Inspection, outcome
from vgg_lit.runs import Run


@pytest.fixture(scope="module")
def split(inspection):
    """All images of the test split as network input, and their labels."""
    batches = [inspection.datamodule.to_input(b) for b in inspection.datamodule.test_dataloader()]
    return torch.cat([batch[0] for batch in batches]), torch.cat([batch[1] for batch in batches])


def test_inputs_accept_positions_in_any_order_and_repeated(inspection, split):
    positions = [39, 0, 17, 0]
    assert torch.equal(inspection.inputs(positions), split[0][positions])
    assert torch.equal(inspection.inputs(torch.tensor(positions)), split[0][positions])
    assert inspection.inputs([]).shape == (0, 1, 32, 32)


def test_predictions_match_the_network(inspection, split):
    images, labels = split
    with torch.no_grad():
        expected = inspection.net(images).softmax(dim=1)
    found = inspection.predictions
    torch.testing.assert_close(found.probabilities_NK, expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(found.labels_N, labels)


def test_shown_images_are_in_0_to_1_and_channels_last(inspection):
    shown = inspection.shown([5, 6])
    assert shown.shape == (2, 32, 32, 1)
    assert -1e-6 <= shown.min() < 0.01
    assert 0.5 < shown.max() <= 1 + 1e-6


def test_a_file_is_preprocessed_like_the_split(inspection, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "own.png")
    x = inspection.input_of(str(tmp_path / "own.png"))
    expected = np.pad(pixels, 2) / 255
    np.testing.assert_allclose(inspection.to_pictures(x)[0, ..., 0], expected, atol=1e-6)
    with pytest.raises(InputError, match=r"none\.png: no such image"):
        inspection.input_of(str(tmp_path / "none.png"))


def test_features_are_from_images_spread_over_the_split(inspection, split):
    features, positions = inspection.features(4)
    assert positions.tolist() == [0, 13, 26, 39]
    with torch.no_grad():
        logits = inspection.net.classifier[-1](features)
        expected = inspection.net(split[0][positions])
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    assert len(inspection.features(1000)[1]) == 40


def test_training_batches_are_small_and_the_history_is_complete(inspection):
    images, _, _ = next(iter(inspection.training.train_dataloader()))
    assert len(images) == PREVIEWED
    assert inspection.history.epochs == [1, 2]


def test_a_run_without_metrics_csv_has_an_empty_history(trained, tmp_path, tiny_run):
    (tmp_path / "config.yaml").write_text(tiny_run.config_file.read_text())
    bare = Inspection(replace(trained, run=Run(tmp_path)), accelerator="cpu")
    assert bare.history.epochs == []


def test_the_validation_split_equals_that_of_training(trained):
    inspection = Inspection(trained, split="val", accelerator="cpu")
    assert len(inspection.predictions.labels_N) == 60


def test_outcome_has_two_lines_if_correct_and_three_if_wrong(inspection):
    found = inspection.predictions
    for position in range(40):
        lines = list(outcome(inspection, position))
        assert lines[0] == inspection.classes[found.labels_N[position]]
        assert lines[-1] == f"{100 * found.confidence_N[position]:.0f} %"
        assert len(lines) == 2 + int(not found.is_right_N[position])
        if not found.is_right_N[position]:
            assert lines[1] == f"→ {inspection.classes[found.predicted_N[position]]}"


def test_the_history_has_the_monitor_of_the_run(trained, tmp_path, tiny_run):
    config = tiny_run.config
    config["callbacks"]["checkpointing"] |= {"monitor": "val/acc", "mode": "max"}
    OmegaConf.save(OmegaConf.create(config), tmp_path / "config.yaml")
    history = Inspection(replace(trained, run=Run(tmp_path)), accelerator="cpu").history
    assert (history.monitor, history.mode) == ("val/acc", "max")

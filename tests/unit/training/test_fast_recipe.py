"""The ingredients of the fast recipe within a whole run."""

import pytest
import torch

from vgg_lit.config.checks import to_plain
from vgg_lit.models.whitening import whitening_filters
from vgg_lit.training.experiment import build_classifier, set_first_weights
from vgg_lit.training.run_data import load_datamodule

FAST = (
    *("model=fast_vgg", "model.width=0.03125", "optimizer=muon", "scheduler=linear"),
    *("trainer.gradient_clip_val=null", "optimizer.layer_epochs={whiten: 1}"),
)


def test_filters_whiten_the_training_images_and_no_others(compose, tiny):
    config = to_plain(compose(*tiny, *FAST, "data.val_fraction=0.5"))
    datamodule = load_datamodule(config)
    classifier = build_classifier(config, datamodule)
    assert set_first_weights(config, classifier, datamodule) is None
    images = datamodule._images["train"].images_NCHW[datamodule._ids["train"]]
    expected = whitening_filters([datamodule.preprocessing(images)], 2).float()
    torch.testing.assert_close(classifier.net.layer("whiten").weight.detach(), expected)


def test_the_bias_of_the_filters_rests_after_its_epochs(train, tmp_path):
    run = train(tmp_path / "run", *FAST, "trainer.max_epochs=3")
    before, after = (
        torch.load(run.checkpoints / f"{name}.ckpt", weights_only=True)["state_dict"]
        for name in ("previous", "last")
    )
    moved = {key for key in after if not torch.equal(before[key], after[key])}
    assert after["net.features.0.bias"].any()
    assert not moved & {"net.features.0.weight", "net.features.0.bias"}
    assert moved >= {"net.features.2.weight", "net.features.4.bias", "net.classifier.0.weight"}


@pytest.mark.parametrize("layer_epochs", ["{whiten: 1}", "null"])
def test_the_rates_of_the_groups_are_logged(layer_epochs, train, tmp_path):
    run = train(tmp_path / "run", *FAST, f"optimizer.layer_epochs={layer_epochs}")
    header = run.metrics_file.read_text().splitlines()[0].split(",")
    assert ("lr/whiten" in header) == (layer_epochs != "null")

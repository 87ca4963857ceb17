"""Earlier configs, command lines, runs, checkpoints and studies keep their meaning."""

import pytest
import torch
from omegaconf import OmegaConf

from vgg_lit.classifier import Classifier
from vgg_lit.config.checks import to_plain
from vgg_lit.config.differences import changes
from vgg_lit.renamed_settings import EARLIER_LOSS, notices, with_new_names
from vgg_lit.runs import Run


def test_a_set_value_moves_to_the_loss(compose):
    assert to_plain(compose())["loss"]["label_smoothing"] == 0.1
    plain = to_plain(compose("label_smoothing=0.3"))
    assert plain["loss"]["label_smoothing"] == 0.3
    assert "label_smoothing" not in plain
    assert to_plain(compose("loss.label_smoothing=0.3")) == plain


@pytest.mark.parametrize(
    ("config", "smoothing"),
    [
        ({"label_smoothing": 0.2}, 0.2),
        ({"label_smoothing": 0.0}, 0.0),
        ({"label_smoothing": None, "loss": {"_target_": "mine.Loss"}}, None),
        ({"label_smoothing": 0.0, "loss": {"_target_": "mine.Loss"}}, None),
        ({"label_smoothing": 0.2, "loss": {"_target_": "mine.Loss"}}, 0.2),
    ],
)
def test_configs_of_before_the_loss_group(config, smoothing):
    found = with_new_names({"seed": 0, **config})
    expected = config.get("loss", {"_target_": EARLIER_LOSS["_target_"]})
    if smoothing is not None:
        expected = {**expected, "label_smoothing": smoothing}
    assert found == {"seed": 0, "loss": expected}


def test_a_typed_earlier_name_is_one_warning(verb, tiny, tmp_path):
    assert list(notices(["seed=1", "label_smoothing=0.2"])) == [
        "label_smoothing=0.2: is now loss.label_smoothing=0.2"
    ]
    done = verb("train", *tiny, "label_smoothing=0.2", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code == 0
    assert done.err.count("warning: label_smoothing=0.2: is now loss.label_smoothing=0.2\n") == 1
    assert Run(tmp_path / "run").config["loss"]["label_smoothing"] == 0.2


def earlier(run):
    """Rewrites the files of a run as version 0.1.0 wrote them."""
    config = OmegaConf.to_container(OmegaConf.load(run.config_file))
    smoothing = config.pop("loss")["label_smoothing"]
    for key in ("metrics", "tags"):
        config.pop(key)
    OmegaConf.save(OmegaConf.create({**config, "label_smoothing": smoothing}), run.config_file)
    for file in run.checkpoints.glob("*.ckpt"):
        checkpoint = torch.load(file, weights_only=True)
        for key in ("loss", "metrics"):
            checkpoint["hyper_parameters"].pop(key)
        checkpoint["hyper_parameters"]["label_smoothing"] = smoothing
        torch.save(checkpoint, file)
        for digest in run.checkpoints.glob(f"{file.name}.sha256"):
            digest.unlink()


def test_an_earlier_run_resumes_to_the_same_weights(train, resume, tmp_path):
    options = ("trainer.max_epochs=2", "logger=none", "loss.label_smoothing=0.2")
    through = train(tmp_path / "through", *options)
    short = train(tmp_path / "short", *options, "trainer.limit_train_batches=4")
    again = train(tmp_path / "again", *options)
    earlier(again)
    loaded = Classifier.load_from_checkpoint(again.checkpoint("last"))
    assert loaded.hparams["loss"] == {**EARLIER_LOSS, "label_smoothing": 0.2}
    assert not list(changes(again.config, {**again.config, "metrics": {"x": None}}))
    resume(again, "trainer.max_epochs=3")
    resume(short, "trainer.max_epochs=3")
    assert again.config["loss"]["label_smoothing"] == 0.2
    states = [
        torch.load(run.checkpoint("last"), weights_only=True)["state_dict"]
        for run in (again, short)
    ]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert through.metrics["val/loss"] == short.metrics["val/loss"]


def test_an_override_of_an_earlier_name_reaches_a_resumed_run(train, resume, tmp_path):
    run = train(tmp_path / "run", "logger=none")
    earlier(run)
    resume(run, "trainer.max_epochs=2", "label_smoothing=0.4")
    assert run.config["loss"]["label_smoothing"] == 0.4


def test_a_method_and_the_weights_that_it_gave_are_the_same_setting():
    recorded, typed = {"class_weights": [1.0, 2.0]}, {"class_weights": "auto"}
    assert not list(changes({"loss": recorded}, {"loss": typed}))
    assert list(changes({"loss": recorded}, {"loss": {"class_weights": [2.0, 1.0]}}))

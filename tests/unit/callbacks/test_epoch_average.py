"""Stochastic weight averaging: the mean of the weights after the last epochs, with its own batch norm."""

import json

import pytest
import torch
from torch.optim.swa_utils import update_bn

from vgg_lit.callbacks import EpochAverage
from vgg_lit.errors import ConfigError
from vgg_lit.training.run_data import load_datamodule

SWA = ("callbacks=[default,swa]", "trainer.max_epochs=3", "optimizer.lr=0.01")


@pytest.mark.parametrize(
    ("from_epoch", "expected"),
    # two steps an epoch add 1 each: the weights are 2, 4, 6, 8
    [(1, 5.0), (3, 7.0), (4, 8.0), (None, 8.0)],
)
def test_the_result_is_the_equal_mean_of_the_weights_after_epochs(from_epoch, expected, scripted):
    trainer = scripted([0.1, 0.2, 0.3, 0.4], EpochAverage(from_epoch))
    assert trainer.lightning_module.weight.item() == expected


def test_without_an_averaged_epoch_the_weights_stay(scripted):
    trainer = scripted([0.1, 0.2], EpochAverage(from_epoch=9))
    assert trainer.lightning_module.weight.item() == 4


@pytest.fixture(scope="module")
def averaged(train, tmp_path_factory):
    return train(tmp_path_factory.mktemp("swa") / "run", *SWA, "callbacks.swa.from_epoch=2")


def test_training_is_that_without_averages(averaged, train, tmp_path):
    plain = train(tmp_path / "plain", *SWA, "callbacks.swa=null")
    expected = torch.load(plain.checkpoint("last"), weights_only=True)["state_dict"]
    content = torch.load(averaged.checkpoint("last"), weights_only=True)
    assert content["current_model_state"].keys() == expected.keys() == content["state_dict"].keys()
    for name, tensor in expected.items():
        assert torch.equal(content["current_model_state"][name], tensor), name
    assert not torch.equal(
        content["state_dict"]["net.features.0.weight"], expected["net.features.0.weight"]
    )


def test_batch_norm_has_the_statistics_that_torch_computes(averaged):
    classifier = averaged.load_classifier(averaged.checkpoint("last"))
    found = {name: buffer.clone() for name, buffer in classifier.net.named_buffers()}
    datamodule = load_datamodule(averaged.config)
    loader = datamodule.train_dataloader()
    loader.sampler.set_epoch(2)
    update_bn([datamodule.to_input(batch, epoch=2)[0] for batch in loader], classifier.net)
    names = [name for name in found if "running" in name]
    assert len(names) == 20
    for name in names:
        expected = classifier.net.get_buffer(name)
        torch.testing.assert_close(found[name], expected, rtol=1e-5, atol=1e-6)


def test_the_average_is_evaluated(averaged, verb):
    done = verb("evaluate", f"run={averaged.path}", "accelerator=cpu")
    assert done.code == 0, done.err
    (file,) = (averaged.path / "evaluations").iterdir()
    found = json.loads(file.read_text())["metrics"]
    assert found == {k: v for k, v in averaged.metrics.items() if k.startswith("test/")}


def test_frozen_batch_norm_keeps_its_statistics(train, tmp_path):
    run = train(tmp_path / "run", *SWA, "callbacks.swa.from_epoch=3", "freeze=[block1]")
    state = torch.load(run.checkpoint("last"), weights_only=True)["state_dict"]
    assert (state["net.features.1.running_mean"] == 0).all()
    assert not (state["net.features.8.running_mean"] == 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("callbacks=[default,ema,swa]",), "callbacks: MovingAverage and EpochAverage both"),
        ((*SWA, "callbacks.swa.from_epoch=4"), r"callbacks\.swa\.from_epoch=4: is after the last"),
        (
            (*SWA, "callbacks.swa.from_epoch=0"),
            r"callbacks\.swa\.from_epoch=0: should be at least 1",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(options, message, train, tmp_path):
    with pytest.raises(ConfigError, match=message):
        train(tmp_path / "run", *options)
    assert not (tmp_path / "run").exists()

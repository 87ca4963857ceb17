"""The moving average of the weights: what is validated, saved and tested in their place."""

import json

import pytest
import torch

from vgg_lit.callbacks import MovingAverage
from vgg_lit.classifier import Classifier


def weights(run, name="last"):
    return torch.load(run.checkpoint(name), weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def averaged(train, tmp_path_factory):
    """A run with the moving average, and one without, trained alike."""
    folder = tmp_path_factory.mktemp("ema")
    return tuple(
        train(folder / name, f"callbacks={callbacks}", "trainer.max_epochs=2", "optimizer.lr=0.01")
        for name, callbacks in (("ema", "[default,ema]"), ("plain", "[default]"))
    )


def test_ema_saves_averaged_weights_and_trains_the_others_as_ever(averaged):
    ema, plain = averaged
    content = torch.load(ema.checkpoint("last"), weights_only=True)
    name = "net.features.0.weight"
    trained = content["current_model_state"]
    found = {key.removeprefix("module."): value for key, value in trained.items()}
    assert torch.equal(found[name], weights(plain)[name])
    assert not torch.equal(content["state_dict"][name], weights(plain)[name])


def test_an_average_lags_behind_between_start_and_end(averaged):
    """decay 0.995 over 8 steps: the average stays nearer to the start than to the end."""
    ema, plain = averaged
    name = "net.features.0.weight"
    hparams = torch.load(plain.checkpoint("last"), weights_only=True)["hyper_parameters"]
    start = Classifier(**hparams).state_dict()[name]
    average, end = weights(ema)[name], weights(plain)[name]
    assert 0 < (average - start).norm() < (average - end).norm()


def test_what_is_tested_of_an_ema_run_is_the_average(averaged, verb):
    ema, _ = averaged
    done = verb("evaluate", f"run={ema.path}", "accelerator=cpu")
    assert done.code == 0
    (file,) = (ema.path / "evaluations").iterdir()
    found = json.loads(file.read_text())["metrics"]
    assert found == {k: v for k, v in ema.metrics.items() if k.startswith("test/")}


@pytest.mark.parametrize(
    ("every", "expected"),
    [(1, 3.125), (2, 2.0)],  # of the weights 1, 2, 3 and 4; of 1 and 3
)
def test_it_is_the_average_of_the_weights_after_each_step(every, expected, scripted):
    callback = MovingAverage(decay=0.5, update_every_n_steps=every)
    trainer = scripted([0.1, 0.2], callback)
    assert trainer.lightning_module.weight.item() == pytest.approx(expected)


def test_counts_are_copied_and_not_averaged(scripted):
    callback = MovingAverage(decay=0.5)
    trainer = scripted([0.1], callback)
    module = trainer.lightning_module
    module.register_buffer("steps", torch.tensor(7))
    callback._average_model.module.register_buffer("steps", torch.tensor(0))
    callback._update(module, is_first=False)
    assert int(callback._average_model.module.steps) == 7

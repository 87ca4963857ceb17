"""The moving average is validated, saved and tested instead of the weights."""

import json

import pytest
import torch

from vgg_lit.callbacks import MovingAverage
from vgg_lit.classifier import Classifier


def weights(run, name="last"):
    return torch.load(run.checkpoint(name), weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def averaged(train, tmp_path_factory):
    """Two equal runs, with and without the moving average."""
    folder = tmp_path_factory.mktemp("ema")
    return tuple(
        train(folder / name, f"callbacks={callbacks}", "trainer.max_epochs=2", "optimizer.lr=0.01")
        for name, callbacks in (("ema", "[default,ema]"), ("plain", "[default]"))
    )


def test_ema_saves_averaged_weights_and_does_not_change_training(averaged):
    ema, plain = averaged
    content = torch.load(ema.checkpoint("last"), weights_only=True)
    name = "net.features.0.weight"
    trained = content["current_model_state"]
    found = {key.removeprefix("module."): value for key, value in trained.items()}
    assert torch.equal(found[name], weights(plain)[name])
    assert not torch.equal(content["state_dict"][name], weights(plain)[name])


def test_the_average_lies_between_start_and_end(averaged):
    """With decay 0.995 over 8 steps the average is closer to the start than to the end."""
    ema, plain = averaged
    name = "net.features.0.weight"
    hparams = torch.load(plain.checkpoint("last"), weights_only=True)["hyper_parameters"]
    start = Classifier(**hparams).state_dict()[name]
    average, end = weights(ema)[name], weights(plain)[name]
    assert 0 < (average - start).norm() < (average - end).norm()


def test_test_metrics_of_an_ema_run_are_of_the_average(averaged, verb):
    ema, _ = averaged
    done = verb("evaluate", f"run={ema.path}", "accelerator=cpu")
    assert done.code == 0
    (file,) = (ema.path / "evaluations").iterdir()
    found = json.loads(file.read_text())["metrics"]
    assert found == {k: v for k, v in ema.metrics.items() if k.startswith("test/")}


@pytest.mark.parametrize(
    ("every", "expected"),
    [(1, 3.125), (2, 2.0)],  # averages of the weights 1, 2, 3, 4, and of 1, 3
)
def test_the_average_is_updated_every_n_steps(every, expected, scripted):
    callback = MovingAverage(decay=0.5, update_every_n_steps=every)
    trainer = scripted([0.1, 0.2], callback)
    assert trainer.lightning_module.weight.item() == pytest.approx(expected)


def test_integer_buffers_are_copied_and_not_averaged(scripted):
    callback = MovingAverage(decay=0.5)
    trainer = scripted([0.1], callback)
    module = trainer.lightning_module
    module.register_buffer("steps", torch.tensor(7))
    callback._average_model.module.register_buffer("steps", torch.tensor(0))
    callback._update(module, is_first=False)
    assert int(callback._average_model.module.steps) == 7

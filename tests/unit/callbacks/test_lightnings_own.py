"""Lightning's own callbacks, as conf/callbacks uses them."""

import csv
import json

import pytest
import torch

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


def test_early_stopping_stops(train, tmp_path):
    run = train(
        tmp_path / "run",
        "callbacks=[default,early_stopping]",
        "callbacks.early_stopping.patience=1",
        "callbacks.early_stopping.min_delta=1",  # more than accuracy can ever rise
        "trainer.max_epochs=6",
    )
    with run.metrics_file.open() as lines:
        assert [row["epoch"] for row in csv.DictReader(lines)] == ["1", "2"]
    assert torch.load(run.checkpoint("last"), weights_only=True)["epoch"] == 1
    assert run.status["status"] == "done"


def test_a_callback_set_to_null_is_left_out(train, tmp_path):
    run = train(tmp_path / "run", "callbacks.metrics_table=null", "logger=none")
    assert not run.metrics_file.exists()
    assert run.checkpoint("last").is_file()


def test_without_callbacks_nothing_is_saved_and_the_last_weights_are_tested(train, tmp_path):
    run = train(tmp_path / "run", "callbacks=none", "logger=none")
    assert not list(run.path.rglob("*.ckpt"))
    assert "test/acc" in run.metrics

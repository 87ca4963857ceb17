"""The learning rate finder and the batch size finder."""

import gc
import json
import weakref

import numpy as np
import pytest
import torch
from lightning.pytorch.tuner.lr_finder import _LRCallback

from vgg_lit.checkpoints.storage import read_checkpoint
from vgg_lit.config.checks import ConfigError, check_train, to_plain
from vgg_lit.config.differences import changes
from vgg_lit.errors import InputError, TrainingError
from vgg_lit.runs import Run
from vgg_lit.training import finders
from vgg_lit.training.experiment import run_experiment
from vgg_lit.training.finders import (
    MARGIN,
    find,
    find_batch_size,
    range_test,
    step_losses,
    suggestion,
)


def test_step_losses_are_recovered_from_the_running_means():
    losses = np.random.default_rng(0).uniform(1, 3, 20)
    callback = _LRCallback(num_training=20)
    means, mean = [], 0.0
    for step, loss in enumerate(losses):  # as the callback computes it at the end of a step
        mean = callback.beta * mean + (1 - callback.beta) * loss
        means.append(mean / (1 - callback.beta ** (step + 2)))
    assert step_losses(means) == pytest.approx(losses)


def test_the_suggested_rate_is_below_that_of_the_lowest_loss():
    rates = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    assert suggestion(rates, [2.3, 2.2, 1.8, 1.5, 4.0]) == pytest.approx(0.1 / MARGIN)


@pytest.mark.parametrize(("rates", "losses"), [([1e-4, 1e-3], [2.3, 2.4]), ([], [])])
def test_a_loss_that_does_not_fall_gives_no_suggestion(rates, losses):
    with pytest.raises(TrainingError, match="falls at no rate"):
        suggestion(rates, losses)


@pytest.fixture(scope="module")
def found(compose, tiny, tmp_path_factory):
    """A run directory, the config, and the config with the found values; 320 images are ten batches of 32."""
    path = tmp_path_factory.mktemp("found")
    config = to_plain(compose(*tiny, "data.train_size=320", "find_lr=true", "find_batch_size=true"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finders, "build_classifier", remembering(finders.build_classifier))
        patch.setattr(finders, "release_device_memory", lambda: KEPT.append(alive()))
        return path, config, find(config, path)


TRIED, KEPT = [], []


def remembering(build):
    def build_classifier(*arguments):
        classifier = build(*arguments)
        TRIED.append(weakref.ref(classifier))
        return classifier

    return build_classifier


def alive():
    """The number of networks that were tried and still take memory."""
    gc.collect()
    return sum(reference() is not None for reference in TRIED)


def test_what_was_tried_takes_no_memory_afterwards(found):
    assert len(TRIED) == 2
    assert KEPT == [0, 0]


def test_only_the_found_values_change_in_the_config(found):
    _, config, changed = found
    assert {change.partition("=")[0] for change in changes(config, changed)} == {
        "data.batch_size",
        "optimizer.lr",
        "find_lr",
        "find_batch_size",
    }
    assert changed["find_lr"] is changed["find_batch_size"] is False
    assert changed["data"]["batch_size"] == 32  # the largest power of two that leaves ten steps
    assert 1e-4 < changed["optimizer"]["lr"] < 10


def test_the_record_has_the_overrides_and_the_curve(found):
    path, _, changed = found
    record = json.loads((path / "found.json").read_text())
    assert record["data.batch_size"] == {"typed": 16, "found": 32}
    rate = record["optimizer.lr"]
    assert (rate["typed"], rate["found"]) == (0.1, changed["optimizer"]["lr"])
    assert len(rate["rates"]) == len(rate["losses"]) > 50
    assert (path / "figures/find_lr.png").stat().st_size > 10_000
    assert not list(path.glob(".*ckpt"))


@pytest.mark.parametrize(("head", "size"), [("cifar", 2), ("linear", 1)])
def test_the_smallest_batch_is_one_that_batch_norm_accepts(head, size, compose, tiny):
    """The head `cifar` has batch norm over one value per image."""
    data = ("data.train_size=15", "data.val_fraction=0")
    config = to_plain(compose(*tiny, "model=vgg11_bn", f"model.head={head}", *data))
    assert find_batch_size(config) == size


def test_the_run_equals_one_with_explicit_values(found, compose, tiny, train, tmp_path):
    path, _, changed = found
    overrides = ["data.train_size=320", "data.batch_size=32"]
    typed = train(tmp_path / "typed", *overrides, f"optimizer.lr={changed['optimizer']['lr']}")
    run_experiment(changed, path, [])
    weights = [
        read_checkpoint(folder / "checkpoints/last.ckpt")["state_dict"]
        for folder in (typed.path, path)
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_resume_auto_finds_the_run_by_its_overrides(found):
    path, config, changed = found
    if not (path / "config.yaml").is_file():
        Run.start(path, changed, [])
    assert not list(changes(Run(path).typed_config, config))


def test_the_tested_network_is_the_one_that_is_trained(compose, tiny, tmp_path, monkeypatch):
    begun = []

    def on_train_start(module):
        begun.append({key: value.clone() for key, value in module.net.state_dict().items()})

    monkeypatch.setattr(finders.Classifier, "on_train_start", on_train_start)
    monkeypatch.setattr(finders, "STEPS", 2)
    config = to_plain(compose(*tiny, "model=fast_vgg"))
    range_test(config)
    run_experiment(config, tmp_path / "run", [])
    tested, trained = begun
    assert tested.keys() == trained.keys()
    assert all(torch.equal(value, trained[key]) for key, value in tested.items())


@pytest.mark.parametrize(
    "limits",
    [
        ["trainer.limit_train_batches=1"],
        ["trainer.limit_train_batches=0.5"],
        ["trainer.overfit_batches=1"],
        ["trainer.limit_train_batches=3", "trainer.accumulate_grad_batches=2"],
        ["trainer.limit_train_batches=1", "trainer.accumulate_grad_batches=4"],
        ["trainer.overfit_batches=3", "trainer.accumulate_grad_batches=2"],
        ["trainer.accumulate_grad_batches=3"],
    ],
)
def test_the_range_test_reaches_the_highest_rate_with_few_batches(
    limits, compose, tiny, monkeypatch
):
    monkeypatch.setattr(finders, "STEPS", 12)
    monkeypatch.setattr(finders, "HIGHEST", 2e-5)  # so that no loss ends the test
    rates, losses = range_test(to_plain(compose(*tiny, *limits)))
    assert len(rates) == len(losses) == 12
    assert rates[-1] == pytest.approx(2e-5, rel=0.1)


def test_a_batch_without_enough_images_is_refused(compose, tiny):
    with pytest.raises(InputError, match=r"^data\.batch_size=65: larger than the 64"):
        range_test(to_plain(compose(*tiny, "data.batch_size=65")))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.devices=2", "needs one process"),
        ("trainer.num_nodes=2", "needs one process"),
        ("trainer.fast_dev_run=true", "cannot be combined with trainer.fast_dev_run"),
        ("ckpt_path=a.ckpt", "cannot be combined with ckpt_path=a.ckpt"),
        ("resume=logs/runs/a", "cannot be combined with resume=logs/runs/a"),
        ("optimizer.layer_rates={block1:0.1}", "one rate for all"),
        ("~optimizer.lr", "needs an lr in the settings"),
    ],
)
def test_contradictory_settings_are_refused(override, message, compose, tiny):
    with pytest.raises(ConfigError, match=f"find_lr=true: .*{message}") as refused:
        check_train(to_plain(compose(*tiny, "find_lr=true", override)))
    assert "\n" not in str(refused.value)

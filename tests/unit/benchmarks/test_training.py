import sys

import pytest
import torch
import training
from training import BareLoop, Turns, compose, fit_by_turns, real_images, terminal


@pytest.fixture
def config():
    """The config of a tiny training on real images."""
    return compose(
        *real_images(count=200),
        "trainer=cpu",
        "trainer.precision=32-true",
        "model.width=0.03125",
        "data.batch_size=8",
        "data.val_fraction=0",
    )


def test_a_block_excludes_the_time_of_other_sides(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(training.time, "perf_counter", lambda: now[0])

    def other():
        now[0] += 1000  # must not be counted
        return 7.0

    turns = Turns(2, {"other": other}, torch.device("cpu"))
    for batch in range(9):  # three rounds of a warm-up step and two counted steps
        now[0] += 100 if batch % 3 == 0 else 3
        turns.on_train_batch_end(None, None, None, None, batch)
    assert turns.seconds == {"trainer": [3.0, 3.0], "other": [7.0, 7.0]}


def test_the_trainer_and_the_bare_loop_reach_equal_weights(config):
    bare = BareLoop(config, total_steps=9)
    weights = {}

    class Weights(training.L.Callback):
        def on_train_end(self, trainer, pl_module):
            weights.update(pl_module.net.state_dict())

    def block():
        for _ in range(3):
            bare.step()
        return 1.0

    seconds = fit_by_turns(config, {"bare": block}, 2, 2, torch.device("cpu"), [Weights()])
    assert {name: len(times) for name, times in seconds.items()} == {"trainer": 2, "bare": 2}
    for name, expected in bare.classifier.net.state_dict().items():
        assert torch.equal(weights[name], expected), name


def test_the_trainer_has_every_default_callback_and_the_progress_bar(config, tmp_path):
    with terminal():
        assert sys.stdout.isatty()
        _, _, trainer = training.build(config, tmp_path)
    names = {type(callback).__name__ for callback in trainer.callbacks}
    assert names >= {"Checkpointing", "FiniteLoss", "Throughput", "MetricsTable", "ProgressBar"}
    assert [type(logger).__name__ for logger in trainer.loggers] == ["EventLogger"]

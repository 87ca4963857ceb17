"""Progress prints one line per epoch."""

import re
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import RichProgressBar

from vgg_lit.callbacks import Progress, ProgressBar
from vgg_lit.callbacks.progress import _duration


def test_every_epoch_prints_one_line(scripted, capsys):
    scripted([0.25] * 10, Progress())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith(
        "epoch  1/10  train loss 1.0000 acc 0.5000  val loss 2.0000 acc 0.2500  "
    )
    assert lines[-1].endswith("0 min 00 s left")
    assert all(re.search(r"\d+\.\d s per epoch, 0 min \d\d s left$", line) for line in lines)


def test_an_epoch_without_validation_shows_only_training(scripted, capsys):
    scripted([0.25] * 2, Progress(), check_val_every_n_epoch=2)
    first, second = capsys.readouterr().out.splitlines()
    assert "val" not in first
    assert "val loss" in second


def test_an_epoch_that_is_resumed_within_counts_as_a_part(capsys, monkeypatch):
    clock = iter([0.0, 10.0])
    monkeypatch.setattr("vgg_lit.callbacks.progress.time.perf_counter", lambda: next(clock))
    monkeypatch.setattr("vgg_lit.callbacks.progress.epoch_metrics", lambda trainer: {})
    trainer = SimpleNamespace(current_epoch=1, max_epochs=4, num_training_batches=8)
    progress = Progress()
    progress.on_train_start(trainer, None)
    for batch in (6, 7):  # the first six were in the interrupted run
        progress.on_train_batch_end(trainer, None, None, None, batch)
    progress.on_train_epoch_end(trainer, None)
    progress.on_train_end(trainer, None)
    assert capsys.readouterr().out == "epoch 2/4  40.0 s per epoch, 1 min 20 s left\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 min 00 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (7261, "2 h 01 min")],
)
def test_durations_are_formatted_in_minutes_or_hours(seconds, text):
    assert _duration(seconds) == text


def test_the_bar_shows_the_loss_and_not_the_version(monkeypatch):
    shown = {"v_num": "oard", "lr": "0.1"}
    monkeypatch.setattr(RichProgressBar, "get_metrics", lambda *args: dict(shown))
    monkeypatch.setattr(RichProgressBar, "on_train_batch_end", lambda *args: None)
    bar = ProgressBar()
    assert bar.get_metrics(None, None) == {"lr": "0.1"}
    for loss in (0.5, 0.25):
        bar.on_train_batch_end(None, None, {"loss": torch.tensor(loss)}, None, 0)
        # the second loss follows within a second and is not read from the device
        assert bar.get_metrics(None, None) == {"loss": "0.5000", "lr": "0.1"}

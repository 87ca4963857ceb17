"""`best.ckpt` follows the monitor, `last.ckpt` the newest step."""

import math
import signal
import time
from types import SimpleNamespace

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vgg_lit.callbacks import Checkpointing
from vgg_lit.checkpoints.storage import digests, sha256, write_checkpoint
from vgg_lit.errors import InputError, Preempted, TrainingError
from vgg_lit.runs import Run
from vgg_lit.system.ending_signals import ending_signals
from vgg_lit.system.operating_system import ENDING


def epochs(folder):
    """Returns the epoch (from 1) of each checkpoint, from its weight: two steps per epoch."""
    return {
        path.stem: int(torch.load(path, weights_only=True)["state_dict"]["weight"]) // 2
        for path in (folder / "checkpoints").glob("*.ckpt")
        if path.stem != "previous"
    }


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([0.1, 0.2, 0.3], 3),
        ([0.3, 0.2, 0.1], 1),  # the monitor worsens: Lightning's save_last would not save again
        ([0.1, 0.3, 0.2], 2),
        ([0.2, 0.3, 0.3], 3),  # on a tie the later epoch
        ([math.nan, 0.1, math.nan], 2),
        ([0.3, math.inf, 0.2], 1),
    ],
)
def test_best_follows_the_monitor_and_last_the_epochs(scores, best, scripted, tmp_path):
    callback = Checkpointing(monitor="val/acc", mode="max")
    trainer = scripted(scores, callback)
    assert epochs(tmp_path) == {"best": best, "last": 3}
    assert callback.best_score == pytest.approx(scores[best - 1])
    assert callback.best_metrics["val/acc"] == pytest.approx(scores[best - 1])
    assert callback.best_checkpoint(trainer) == str(tmp_path / "checkpoints" / "best.ckpt")


def test_mode_min_selects_the_lowest_score(scripted, tmp_path):
    scripted([0.3, 0.1, 0.2], Checkpointing(monitor="val/acc", mode="min"))
    assert epochs(tmp_path) == {"best": 2, "last": 3}


def test_without_validation_only_last_is_written(scripted, tmp_path):
    callback = Checkpointing(monitor="val/acc", mode="max")
    trainer = scripted([0.3, 0.2], callback, validates=False)
    assert epochs(tmp_path) == {"last": 2}
    assert callback.best_checkpoint(trainer) == str(tmp_path / "checkpoints" / "last.ckpt")
    assert callback.best_metrics == {}


def test_an_epoch_without_validation_is_never_the_best(scripted, tmp_path):
    scripted(
        [9.0, 0.2, 9.0, 0.1, 9.0],
        Checkpointing(monitor="val/acc", mode="max"),
        check_val_every_n_epoch=2,
    )
    assert epochs(tmp_path) == {"best": 2, "last": 5}


def test_a_last_epoch_that_max_steps_ends_is_never_the_best(scripted, tmp_path):
    callback = Checkpointing(monitor="val/acc", mode="max")
    scripted([0.1, 0.2, 0.3], callback, max_steps=5)
    assert callback.best_epoch == 2
    assert weight(tmp_path / "checkpoints" / "best.ckpt") == 4
    assert weight(tmp_path / "checkpoints" / "last.ckpt") == 5


def test_every_n_epochs_always_saves_the_last_epoch(scripted, tmp_path):
    saved = []

    class Spied(Checkpointing):
        def on_train_epoch_end(self, trainer, pl_module):
            super().on_train_epoch_end(trainer, pl_module)
            saved.append(epochs(tmp_path).get("last"))

    scripted([0.1] * 5, Spied(every_n_epochs=2))
    assert saved == [None, 2, 2, 4, 5]


@pytest.mark.parametrize(("max_steps", "saved"), [(1, 1), (2, 2), (5, 5)])
def test_the_last_step_of_max_steps_is_saved(max_steps, saved, scripted, tmp_path):
    callback = Checkpointing(every_n_epochs=2)
    trainer = scripted([0.1] * 5, callback, max_steps=max_steps)
    assert weight(tmp_path / "checkpoints" / "last.ckpt") == saved
    assert callback.best_checkpoint(trainer)


class StopsAfter(L.Callback):
    """Stops the training after a step, as Lightning does with `max_time` and early stopping."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        trainer.should_stop = trainer.global_step == 5


def test_the_last_step_of_a_run_that_is_stopped_is_saved(scripted, tmp_path):
    scripted([0.1] * 5, Checkpointing(every_n_epochs=9), StopsAfter())
    assert weight(tmp_path / "checkpoints" / "last.ckpt") == 5


def position(path):
    """Returns whether the last epoch of a checkpoint is unfinished, and the number of finished ones."""
    progress = torch.load(path, weights_only=True)["loops"]["fit_loop"]["epoch_progress"]["current"]
    return progress["ready"] > progress["processed"], progress["processed"]


@pytest.mark.parametrize(("options", "callbacks"), [({}, [StopsAfter()]), ({"max_steps": 5}, [])])
def test_an_epoch_that_the_training_ends_within_is_completed_later(
    options, callbacks, scripted, tmp_path
):
    callback = Checkpointing(monitor="val/acc", mode="max")
    scripted([0.1, 0.2, 0.9, 0.1], callback, *callbacks, **options)
    last, best = (tmp_path / f"checkpoints/{name}.ckpt" for name in ("last", "best"))
    assert (weight(last), position(last)) == (5, (True, 2))
    assert (weight(best), callback.best_epoch) == (4, 2)
    scripted([0.1, 0.2, 0.9, 0.1], Checkpointing(monitor="val/acc", mode="max"), resume=last)
    assert (weight(last), position(last)) == (8, (False, 4))
    assert weight(best) == 6


def test_an_epoch_that_ends_with_the_training_is_complete(scripted, tmp_path):
    last = tmp_path / "checkpoints/last.ckpt"
    stopping = L.callbacks.EarlyStopping("val/acc", mode="max", patience=1)
    scripted([0.3, 0.2, 0.1], Checkpointing(), stopping)
    assert (weight(last), position(last)) == (4, (False, 2))
    scripted([0.1] * 5, Checkpointing(), max_steps=4)
    assert (weight(last), position(last)) == (4, (False, 2))


class StopsFrom(L.Callback):
    """Stops the training from a step on."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        trainer.should_stop |= trainer.global_step >= 1


def test_a_stop_before_min_epochs_saves_complete_epochs(scripted, tmp_path):
    last = tmp_path / "checkpoints/last.ckpt"
    scripted([0.1] * 5, Checkpointing(), StopsFrom(), min_epochs=2)
    assert (weight(last), position(last)) == (4, (False, 2))


def test_predictions_are_removed_with_the_best_checkpoint(scripted, tmp_path):
    scores = [0.1, 0.5, 0.4, 0.6]
    last = None
    for epochs_done, kept in ((2, False), (3, True), (4, False)):
        for split in ("test", "val"):
            (tmp_path / f"predictions_{split}.csv").touch()
        (tmp_path / "predictions.csv").touch()
        callback = Checkpointing(monitor="val/acc", mode="max")
        scripted(scores[:epochs_done], callback, resume=last)
        last = tmp_path / "checkpoints" / "last.ckpt"
        assert len(list(tmp_path.glob("predictions*"))) == (3 if kept else 1)


def test_without_validation_predictions_are_of_the_last_checkpoint(scripted, tmp_path):
    (tmp_path / "predictions_test.csv").touch()
    scripted([0.1], Checkpointing(), validates=False)
    assert not list(tmp_path.glob("predictions*"))


def test_nothing_is_written_in_a_fast_dev_run(scripted, tmp_path):
    callback = Checkpointing(monitor="val/acc", mode="max")
    trainer = scripted([0.1], callback, fast_dev_run=True)
    assert not (tmp_path / "checkpoints").exists()
    assert callback.best_checkpoint(trainer) is None


def test_a_resumed_run_keeps_the_best_score(scripted, tmp_path):
    scripted([0.1, 0.5], Checkpointing(monitor="val/acc", mode="max"), max_epochs=2)
    last = tmp_path / "checkpoints" / "last.ckpt"
    callback = Checkpointing(monitor="val/acc", mode="max")
    scripted([0.1, 0.5, 0.4], callback, resume=last)
    assert callback.best_score == pytest.approx(0.5)
    assert epochs(tmp_path) == {"best": 2, "last": 3}


def test_intervals_must_be_positive():
    with pytest.raises(ValueError, match="every_n_epochs=0: should be at least 1"):
        Checkpointing(every_n_epochs=0)
    with pytest.raises(ValueError, match="every_n_steps=0: should be at least 1"):
        Checkpointing(every_n_steps=0)
    with pytest.raises(ValueError, match="every_n_minutes=0: should be above 0"):
        Checkpointing(every_n_minutes=0)


def weight(path):
    return int(torch.load(path, weights_only=True)["state_dict"]["weight"])


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_previous_checkpoint_is_kept(asynchronous, scripted, tmp_path):
    scripted([0.1, 0.2, 0.3], Checkpointing(asynchronous=asynchronous))
    checkpoints = tmp_path / "checkpoints"
    assert weight(checkpoints / "last.ckpt") == 6
    assert weight(checkpoints / "previous.ckpt") == 4
    for name in ("best", "last", "previous"):
        path = checkpoints / f"{name}.ckpt"
        assert digests(path) == [sha256(path)]


@pytest.mark.parametrize(
    ("setting", "device", "expected"),
    [("auto", "cpu", False), ("auto", "cuda", True), ("auto", "mps", True), (False, "cuda", False)],
)
def test_a_cpu_writes_between_steps_by_default(setting, device, expected):
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)))
    assert Checkpointing(asynchronous=setting)._is_asynchronous(trainer) is expected
    assert Checkpointing().asynchronous == "auto"


@pytest.mark.parametrize("options", [{"every_n_steps": 1}, {"every_n_minutes": 1e-9}])
def test_steps_within_an_epoch_are_saved(options, scripted, tmp_path):
    """Two steps per epoch: the second is saved at the end of the epoch, after validation."""
    saved = []

    class Spied(Checkpointing):
        def on_train_batch_end(self, *args):
            super().on_train_batch_end(*args)
            last = tmp_path / "checkpoints" / "last.ckpt"
            saved.append(weight(last) if last.is_file() else None)

    scripted([0.1, 0.2], Spied(**options))
    assert saved == [1, 1, 3, 3]


@pytest.mark.parametrize("signum", ENDING)
@pytest.mark.parametrize("when", ["on_train_batch_start", "on_validation_batch_start"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_signal_ends_the_run_once_its_step_is_saved(
    asynchronous, signum, when, scripted, tmp_path
):
    class Kill(L.Callback):
        pass

    def kill(self, trainer, *args):
        if trainer.global_step == 2:
            signal.raise_signal(signum)

    setattr(Kill, when, kill)
    with ending_signals, pytest.raises(Preempted, match=f"{signum.name}: saved at step") as ended:
        scripted([0.1, 0.2], Kill(), Checkpointing(asynchronous=asynchronous))
    assert ended.value.exit_code == (130 if signum == signal.SIGINT else 143)
    expected = 3 if when == "on_train_batch_start" else 2
    assert weight(tmp_path / "checkpoints" / "last.ckpt") == expected


class Slow:
    """Makes each write of a checkpoint slow; optionally one write fails."""

    def __init__(self, monkeypatch, fails_at=None):
        self.count = 0
        self.fails_at = fails_at
        monkeypatch.setattr("vgg_lit.checkpoints.trainer_io.write_checkpoint", self.write)

    def write(self, checkpoint, path, **options):
        self.count += 1
        time.sleep(0.1)
        if self.count == self.fails_at:
            raise TrainingError("the disk is full")
        write_checkpoint(checkpoint, path, **options)


@pytest.mark.parametrize("error", [RuntimeError("out of luck"), Preempted(signal.SIGINT)])
def test_an_exception_waits_for_pending_writes(error, scripted, tmp_path, monkeypatch):
    class Break(L.Callback):
        def on_train_batch_start(self, trainer, *args):
            if trainer.global_step == 3:
                raise error

    Slow(monkeypatch)
    with ending_signals, pytest.raises(type(error)) as ended:
        scripted([0.1, 0.2], Break(), Checkpointing(every_n_steps=1, asynchronous=True))
    assert ended.value is error
    assert weight(tmp_path / "checkpoints" / "last.ckpt") == 3


@pytest.mark.parametrize("fails_at", [1, 2, 3, 4])
def test_a_failed_asynchronous_write_ends_the_run(fails_at, scripted, monkeypatch):
    Slow(monkeypatch, fails_at)
    with ending_signals, pytest.raises(TrainingError, match="the disk is full"):
        scripted([0.1, 0.2], Checkpointing(asynchronous=True))


def logged(folder, tag):
    events = EventAccumulator(str(folder), {"scalars": 0}).Reload()
    return [event.step for event in events.Scalars(tag)]


def test_an_epoch_is_logged_once_and_before_it_is_saved(scripted, tmp_path):
    class Kill(L.Callback):
        def on_validation_batch_start(self, trainer, *args):
            if trainer.current_epoch == 1:
                signal.raise_signal(signal.SIGTERM)

    logger = TensorBoardLogger(tmp_path, name="", version="")
    with ending_signals, pytest.raises(Preempted, match="SIGTERM"):
        scripted([0.1, 0.2, 0.3], Kill(), Checkpointing(), logger=logger)
    assert [logged(tmp_path, tag) for tag in ("train/loss", "val/loss")] == [[1, 3], [1, 3]]
    logger = TensorBoardLogger(tmp_path, name="", version="", purge_step=4)
    last = tmp_path / "checkpoints" / "last.ckpt"
    scripted([0.1, 0.2, 0.3], Checkpointing(), logger=logger, resume=last)
    assert [logged(tmp_path, tag) for tag in ("train/loss", "val/loss")] == [[1, 3, 5], [1, 3, 5]]


@pytest.mark.parametrize(
    ("keep", "files"),
    [
        ("all", ["best.ckpt", "last.ckpt", "previous.ckpt"]),
        ("best", ["best.ckpt"]),
        ("last", ["last.ckpt"]),
    ],
)
def test_a_finished_run_keeps_the_asked_checkpoints(keep, files, train, tmp_path):
    run = train(tmp_path / "run", "trainer.max_epochs=2", f"callbacks.checkpointing.keep={keep}")
    assert sorted(file.name for file in run.checkpoints.glob("*.ckpt")) == files
    assert run.load_classifier().classes


def test_a_run_that_ends_before_it_is_done_can_be_resumed(train, resume, tmp_path, monkeypatch):
    def no_service(*arguments):
        raise RuntimeError("the service does not respond")

    with monkeypatch.context() as patch:
        patch.setattr("vgg_lit.training.experiment.record_end", no_service)
        with pytest.raises(RuntimeError, match="does not respond"):
            train(tmp_path / "run", "trainer.max_epochs=2", "callbacks.checkpointing.keep=best")
    run = Run(tmp_path / "run")
    assert run.status["status"] == "failed"
    resume(run)
    assert run.is_done()
    assert [file.name for file in run.checkpoints.glob("*.ckpt")] == ["best.ckpt"]


def test_weights_alone_are_smaller_and_cannot_be_resumed(train, resume, tmp_path):
    full = train(tmp_path / "full", "trainer.max_epochs=2")
    slim = train(tmp_path / "slim", "trainer.max_epochs=2", "callbacks.checkpointing.keep=best")
    assert slim.checkpoint().stat().st_size < 0.7 * full.checkpoint().stat().st_size
    assert slim.metrics["test/acc"] == full.metrics["test/acc"]
    with pytest.raises(InputError, match="holds weights alone"):
        resume(slim, "trainer.max_epochs=3")


def test_a_metric_that_is_missing_after_a_validation_ends_the_run(scripted):
    with pytest.raises(
        TrainingError, match=r"monitor=val/f2: is not a metric .*; available: .*val/acc"
    ):
        scripted([0.3], Checkpointing(monitor="val/f2"))


@pytest.mark.parametrize("changed", [{"mode": "min"}, {"monitor": "val/acc2"}])
def test_the_best_of_another_monitor_is_set_aside(changed, scripted, tmp_path):
    scripted([0.3, 0.2], Checkpointing(monitor="val/acc", mode="max"))
    last = tmp_path / "checkpoints" / "last.ckpt"
    callback = Checkpointing(**{"monitor": "val/acc", "mode": "max", **changed})
    scripted([0.3, 0.2], callback, resume=last)  # all epochs are done
    assert (callback.best_score, callback.best_metrics) == (None, {})
    assert epochs(tmp_path) == {"last": 2}
    assert (tmp_path / "checkpoints" / "best.ckpt.replaced").is_file()

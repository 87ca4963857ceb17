"""Saves `best.ckpt`, `last.ckpt` and the last one before it, `previous.ckpt`."""

import math
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as L
from lightning.pytorch.callbacks import Checkpoint

from vgg_lit.callbacks.monitors import is_better, is_scored_alike, monitored, set_aside_best
from vgg_lit.callbacks.partial_epoch import LastStep, read_metrics, restore_metrics
from vgg_lit.checkpoints.folder import remove_predictions
from vgg_lit.checkpoints.storage import keep_weights, remove_checkpoint
from vgg_lit.checkpoints.trainer_io import AtomicCheckpointIO
from vgg_lit.errors import Preempted, TrainingError
from vgg_lit.metrics import epoch_metrics
from vgg_lit.system.collectives import Agreement
from vgg_lit.system.ending_signals import ending_signals
from vgg_lit.system.lightning_internals import is_between_steps, log_epoch
from vgg_lit.system.overrides import shell_words
from vgg_lit.system.terminal import warn

NOTHING, SAVE = 0, 1
"""Flags that a process contributes after a step; other values are numbers of signals to end with."""


class Checkpointing(Checkpoint):
    """Saves the newest state after each epoch, optionally within epochs, and the best state so far.

    Lightning's `save_last` follows its monitor, so `last` is not the last state when the monitor gets
    worse. Here the two are independent. Without a validation split only `last.ckpt` is written; the test
    set is never used for selection. The previous `last.ckpt` is kept as `previous.ckpt`. An epoch that the
    training ends within is saved as such, before its validation, and is never the best.

    During training, SIGTERM, SIGINT and SIGUSR1 to any process end the run after the current step or
    validation, once `last.ckpt` holds that step.

    Args:
        monitor: metric that selects the best checkpoint.
        mode: "max" if the highest value of the metric is the best, "min" if the lowest is.
        every_n_epochs: epochs between two saves of `last.ckpt`; the last step is always saved.
        every_n_steps: optimiser steps between two saves within epochs.
        every_n_minutes: longest time between two saves.
        asynchronous: copies the state and continues training while a thread writes it; `auto`: not on a
            CPU, which would train slower meanwhile. The run waits for pending writes before it ends. A
            failed write ends the run some steps later.
        keep: checkpoints that a finished run keeps, see `tidy`.

    Attributes:
        best_score: best value of `monitor` in this run; None before the first.
        best_metrics: metrics of that epoch.
        best_epoch: its number, from 1; None before the first, or if an earlier version wrote the state.
        seconds_before: seconds of earlier attempts at this run.

    Raises:
        ValueError: an interval is not above 0.
    """

    def __init__(
        self,
        monitor: str = "val/loss",
        mode: Literal["max", "min"] = "min",
        every_n_epochs: int = 1,
        every_n_steps: int | None = None,
        every_n_minutes: float | None = None,
        asynchronous: bool | Literal["auto"] = "auto",
        keep: Literal["all", "best", "last"] = "all",
    ) -> None:
        for name, value in (("epochs", every_n_epochs), ("steps", every_n_steps)):
            if value is not None and value < 1:
                raise ValueError(f"every_n_{name}={value}: should be at least 1")
        if every_n_minutes is not None and every_n_minutes <= 0:
            raise ValueError(f"every_n_minutes={every_n_minutes}: should be above 0")
        self.monitor = monitor
        self.mode = mode
        self.every_n_epochs = every_n_epochs
        self.every_n_steps = every_n_steps
        self.every_n_minutes = every_n_minutes
        self.asynchronous = asynchronous
        self.keep = keep
        self.best_score: float | None = None
        self.best_metrics: dict[str, float] = {}
        self.best_epoch: int | None = None
        self._agreement = Agreement(timeout=None)
        self._is_within_epoch = False
        self._last_step = LastStep()
        self._ended_within_epoch = False
        self._is_same_run = True  # False after the checkpoint of another run was loaded
        self._saved_at = 0.0
        self._started = time.monotonic()
        self.seconds_before = 0.0

    @staticmethod
    def folder(trainer: L.Trainer) -> Path:
        """Returns the directory of a run's checkpoints."""
        return Path(trainer.default_root_dir) / "checkpoints"

    def best_checkpoint(self, trainer: L.Trainer) -> str | None:
        """Returns the best checkpoint, or the last one without validation; None if none was written."""
        best, last = (self.folder(trainer) / f"{name}.ckpt" for name in ("best", "last"))
        written = best if self.best_score is not None else last
        return str(written) if written.is_file() else None

    def tidy(self, trainer: L.Trainer) -> None:
        """Removes the checkpoints of a finished run that are not to be kept; called by the main process.

        `keep=best` keeps the weights of the best checkpoint, without the state of the optimiser: training
        cannot resume from it. Without validation, the last checkpoint is the best one.
        """
        kept = self.best_checkpoint(trainer)
        if self.keep == "all" or kept is None:
            return
        if self.keep == "last":
            kept = str(self.folder(trainer) / "last.ckpt")
        else:
            keep_weights(Path(kept))
        for file in self.folder(trainer).glob("*.ckpt"):
            if file != Path(kept) and Path(kept).is_file():
                remove_checkpoint(file)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Defers signals to the end of a step."""
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        timeout: timedelta | None = getattr(trainer.strategy, "_timeout", None)
        self._agreement = Agreement(timeout)
        self._saved_at = time.monotonic()
        ending_signals.defer()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Saves on all ranks if one of them requests it, `every_n_steps` is reached or the training ends here.

        Raises:
            Preempted: a signal arrived; the state is saved.
        """
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        self._ended_within_epoch = ends = self._last_step.has_ended(trainer)
        if not (ends or is_between_steps(trainer)):
            return
        _checkpoint_io(trainer).check()
        agreed = self._agreement.exchange(self._requested(trainer))
        is_due = self.every_n_steps and trainer.global_step % self.every_n_steps == 0
        if agreed or ends or is_due:
            self._is_within_epoch = True
            self._save_last(trainer, ends=ends or _ends(agreed))
            self._is_within_epoch = False
        self._end_if(agreed, trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Saves on all ranks, after the validation of the epoch.

        Raises:
            Preempted: a signal arrived; the state is saved.
            TrainingError: the epoch was validated, and there is no such metric as the monitored one.
        """
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        log_epoch(trainer)
        metrics = epoch_metrics(trainer)
        is_complete = not self._ended_within_epoch
        score = monitored(self.monitor, metrics) if is_complete else None
        if score is not None and is_better(score, self.best_score, self.mode):
            if trainer.is_global_zero:
                remove_predictions(Path(trainer.default_root_dir))
            self.best_score = score
            self.best_metrics = metrics
            self.best_epoch = trainer.current_epoch + 1
            options = {"asynchronous": self._is_asynchronous(trainer)}
            trainer.save_checkpoint(self.folder(trainer) / "best.ckpt", storage_options=options)
        epoch = trainer.current_epoch + 1
        agreed = self._agreement.settle(self._requested(trainer))
        is_last = _is_last(trainer)
        if is_complete and (agreed or is_last or epoch % self.every_n_epochs == 0):
            self._save_last(trainer, ends=_ends(agreed) or is_last)
        self._end_if(agreed, trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Waits for pending writes; from then on signals end the run immediately."""
        if self._is_asynchronous(trainer):
            _checkpoint_io(trainer).finish()
            trainer.strategy.barrier()
        ending_signals.act()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Waits for pending writes."""
        try:
            _checkpoint_io(trainer).finish()
        except TrainingError as error:
            if not isinstance(exception, TrainingError):  # for example an earlier write that failed
                warn(str(error))

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the seconds of all attempts at the run, and the metric states of an unfinished epoch."""
        checkpoint["seconds"] = self.seconds_before + time.monotonic() - self._started
        if self._is_within_epoch:
            checkpoint["partial_epoch"] = read_metrics(pl_module)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restores metric states and seconds; renames the best checkpoint if another metric selected it."""
        loaded_from = Path(str(trainer.ckpt_path)).resolve().parent
        self._is_same_run = loaded_from == self.folder(trainer).resolve()
        if self._is_same_run:
            self.seconds_before = _as_seconds(checkpoint.get("seconds"))
            state = checkpoint.get("callbacks", {}).get(self.state_key)
            if trainer.is_global_zero and not is_scored_alike(state, self.monitor, self.mode):
                set_aside_best(self.folder(trainer), str(trainer.ckpt_path))
        counted = checkpoint.get("partial_epoch", [])
        restore_metrics(pl_module, counted, trainer.global_rank, trainer.world_size)

    def state_dict(self) -> dict[str, Any]:
        """Returns the best score, which a resumed run continues to use."""
        return {
            "best_score": self.best_score,
            "best_metrics": self.best_metrics,
            "best_epoch": self.best_epoch,
            "monitor": self.monitor,
            "mode": self.mode,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the best score of a resumed run; a new run or another monitor starts without one."""
        if not self._is_same_run or not is_scored_alike(state_dict, self.monitor, self.mode):
            return
        self.best_score = state_dict["best_score"]
        self.best_metrics = state_dict["best_metrics"]
        self.best_epoch = state_dict.get("best_epoch")

    def _is_asynchronous(self, trainer: L.Trainer) -> bool:
        if self.asynchronous == "auto":
            return trainer.strategy.root_device.type != "cpu"
        return bool(self.asynchronous)

    def _save_last(self, trainer: L.Trainer, ends: bool) -> None:
        """Saves `last.ckpt`, synchronously if the run is about to end."""
        for logger in trainer.loggers:
            logger.save()  # a resumed run does not log these values again
        folder = self.folder(trainer)
        if self.best_score is None and trainer.is_global_zero:
            remove_predictions(folder.parent)
        options = {
            "keep_as": folder / "previous.ckpt",
            "asynchronous": self._is_asynchronous(trainer) and not ends,
        }
        trainer.save_checkpoint(folder / "last.ckpt", storage_options=options)
        self._saved_at = time.monotonic()

    def _requested(self, trainer: L.Trainer) -> int:
        if ending_signals.noted:
            return ending_signals.noted
        minutes = (time.monotonic() - self._saved_at) / 60
        is_due = self.every_n_minutes is not None and minutes >= self.every_n_minutes
        return SAVE if is_due and trainer.is_global_zero else NOTHING

    def _end_if(self, agreed: int, trainer: L.Trainer) -> None:
        """Raises on all ranks, including those that received no signal."""
        if _ends(agreed):
            resume = shell_words({"resume": trainer.default_root_dir})
            saved = f"saved at step {trainer.global_step}; continue with {resume}"
            raise Preempted(agreed, saved)


def _as_seconds(value: Any) -> float:
    """Returns the seconds in a checkpoint; 0 if an older version wrote none."""
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return max(0.0, float(value)) if is_number else 0.0


def _is_last(trainer: L.Trainer) -> bool:
    """Returns True at the end of an epoch if training ends with it, for any reason."""
    ends_by_steps = 0 <= trainer.max_steps <= trainer.global_step
    return ends_by_steps or trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs


def _ends(agreed: int) -> bool:
    """Returns True if the agreed value is the number of a signal."""
    return agreed not in (NOTHING, SAVE)


def _checkpoint_io(trainer: L.Trainer) -> AtomicCheckpointIO:
    checkpoint_io = trainer.strategy.checkpoint_io
    assert isinstance(checkpoint_io, AtomicCheckpointIO)
    return checkpoint_io

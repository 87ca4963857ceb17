"""`best.ckpt`, `last.ckpt` and the one before it, `previous.ckpt`."""

import math
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as L
from lightning.pytorch.callbacks import Checkpoint

from vgg_lit.callbacks.partial_epoch import read_metrics, restore_metrics
from vgg_lit.checkpoints.trainer_io import AtomicCheckpointIO
from vgg_lit.errors import Preempted, TrainingError
from vgg_lit.metrics import epoch_metrics
from vgg_lit.system.collectives import Agreement
from vgg_lit.system.ending_signals import ending_signals
from vgg_lit.system.lightning_internals import is_between_steps, log_epoch

NOTHING, SAVE = 0, 1
"""What a process may wish at the end of a step, beside the number of a signal to end by."""


class Checkpointing(Checkpoint):
    """Saves the newest state after every epoch and every so often within one, and the best one so far.

    Lightning's own `save_last` follows its monitor, so that `last` is not the last when the monitor
    gets worse; here the two know nothing of each other. Without a validation split only `last.ckpt` is
    written: the test set decides nothing. The `last.ckpt` that is replaced becomes `previous.ckpt`.

    While it trains, SIGTERM, SIGINT and SIGUSR1 to any process end the run at the end of a step, or of
    the validation that they come in, once `last.ckpt` holds that step.

    Args:
        monitor: the metric that makes a checkpoint the best.
        mode: whether that is its highest or its lowest value.
        every_n_epochs: epochs between two saves of `last.ckpt`; the last epoch is always saved.
        every_n_steps: optimiser steps between two saves within epochs.
        every_n_minutes: the longest that training goes on without a save.
        asynchronous: copies the state and trains on while a thread writes it. What ends a run waits for
            it; what goes wrong with it ends the run, as it would otherwise, some steps later.

    Raises:
        ValueError: one of them is not above 0.
    """

    def __init__(
        self,
        monitor: str = "val/loss",
        mode: Literal["max", "min"] = "min",
        every_n_epochs: int = 1,
        every_n_steps: int | None = None,
        every_n_minutes: float | None = None,
        asynchronous: bool = False,
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
        self.best_score: float | None = None
        self.best_metrics: dict[str, float] = {}
        self._agreement = Agreement(timeout=None)
        self._is_within_epoch = False
        self._saved_at = 0.0

    @staticmethod
    def folder(trainer: L.Trainer) -> Path:
        """Where the checkpoints of a run are."""
        return Path(trainer.default_root_dir) / "checkpoints"

    def best_checkpoint(self, trainer: L.Trainer) -> str | None:
        """The checkpoint to test: the best, without validation the last; None if none was written."""
        best, last = (self.folder(trainer) / f"{name}.ckpt" for name in ("best", "last"))
        written = best if self.best_score is not None else last
        return str(written) if written.is_file() else None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """From now on a signal waits for the end of a step."""
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
        """Saves on all ranks together, where one of them wishes it or the step is one of the `n`.

        Raises:
            Preempted: a signal has come; the state is saved.
        """
        if trainer.fast_dev_run or not is_between_steps(trainer):  # type: ignore[attr-defined]
            return
        _checkpoint_io(trainer).check()
        agreed = self._agreement.exchange(self._wish(trainer))
        if agreed or (self.every_n_steps and trainer.global_step % self.every_n_steps == 0):
            self._is_within_epoch = True
            self._save_last(trainer, ends=_ends(agreed))
            self._is_within_epoch = False
        self._end_if(agreed, trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Saves on all ranks together; validation of the epoch is done by now.

        Raises:
            Preempted: a signal has come; the state is saved.
        """
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        log_epoch(trainer)
        metrics = epoch_metrics(trainer)
        score = metrics.get(self.monitor)
        if score is not None and self._is_better(score):
            self.best_score = score
            self.best_metrics = metrics
            options = {"asynchronous": self.asynchronous}
            trainer.save_checkpoint(self.folder(trainer) / "best.ckpt", storage_options=options)
        epoch = trainer.current_epoch + 1
        agreed = self._agreement.settle(self._wish(trainer))
        is_last = epoch == trainer.max_epochs or trainer.should_stop
        if agreed or is_last or epoch % self.every_n_epochs == 0:
            self._save_last(trainer, ends=_ends(agreed) or is_last)
        self._end_if(agreed, trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """From now on a signal ends the run where it stands; all that was saved is written."""
        if self.asynchronous:
            _checkpoint_io(trainer).finish()
            trainer.strategy.barrier()
        ending_signals.act()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Waits until what was saved before is written."""
        try:
            _checkpoint_io(trainer).finish()
        except TrainingError as error:
            if not isinstance(exception, TrainingError):  # such as that the one before it failed
                print(f"warning: {error}", file=sys.stderr)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds what the metrics of an unfinished epoch have counted."""
        if self._is_within_epoch:
            checkpoint["partial_epoch"] = read_metrics(pl_module)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Takes it up again."""
        counted = checkpoint.get("partial_epoch", [])
        restore_metrics(pl_module, counted, trainer.global_rank, trainer.world_size)

    def state_dict(self) -> dict[str, Any]:
        """The best score goes on to count in a resumed run."""
        return {"best_score": self.best_score, "best_metrics": self.best_metrics}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the best score of the run that is resumed."""
        self.best_score = state_dict["best_score"]
        self.best_metrics = state_dict["best_metrics"]

    def _save_last(self, trainer: L.Trainer, ends: bool) -> None:
        """Saves; before the run ends all processes wait until that is written."""
        for logger in trainer.loggers:
            logger.save()  # what a resumed run does not log again is to be on the disk
        folder = self.folder(trainer)
        options = {
            "keep_as": folder / "previous.ckpt",
            "asynchronous": self.asynchronous and not ends,
        }
        trainer.save_checkpoint(folder / "last.ckpt", storage_options=options)
        self._saved_at = time.monotonic()

    def _wish(self, trainer: L.Trainer) -> int:
        if ending_signals.noted:
            return ending_signals.noted
        minutes = (time.monotonic() - self._saved_at) / 60
        is_due = self.every_n_minutes is not None and minutes >= self.every_n_minutes
        return SAVE if is_due and trainer.is_global_zero else NOTHING

    def _end_if(self, agreed: int, trainer: L.Trainer) -> None:
        """Raises on all ranks together, also on those that got no signal."""
        if _ends(agreed):
            place = f"go on by resume={trainer.default_root_dir}"
            raise Preempted(agreed, f"saved at step {trainer.global_step}; {place}")

    def _is_better(self, score: float) -> bool:
        if not math.isfinite(score):
            return False
        if self.best_score is None:
            return True
        return score >= self.best_score if self.mode == "max" else score <= self.best_score


def _ends(agreed: int) -> bool:
    """Whether what was agreed on is to end the run by a signal."""
    return agreed not in (NOTHING, SAVE)


def _checkpoint_io(trainer: L.Trainer) -> AtomicCheckpointIO:
    checkpoint_io = trainer.strategy.checkpoint_io
    assert isinstance(checkpoint_io, AtomicCheckpointIO)
    return checkpoint_io

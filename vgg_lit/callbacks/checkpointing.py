"""`best.ckpt` and `last.ckpt`."""

import math
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as L
from lightning.pytorch.callbacks import Checkpoint

from vgg_lit.callbacks.epoch_metrics import epoch_metrics


class Checkpointing(Checkpoint):
    """Saves the newest state after every epoch, and beside it the best one so far.

    Lightning's own `save_last` follows its monitor, so that `last` is not the last when the monitor
    gets worse; here the two know nothing of each other. Without a validation split only `last.ckpt` is
    written: the test set decides nothing.

    Args:
        monitor: the metric that makes a checkpoint the best.
        mode: whether that is its highest or its lowest value.
        every_n_epochs: epochs between two saves of `last.ckpt`; the last epoch is always saved.
    """

    def __init__(
        self,
        monitor: str = "val/loss",
        mode: Literal["max", "min"] = "min",
        every_n_epochs: int = 1,
    ) -> None:
        if every_n_epochs < 1:
            raise ValueError(f"every_n_epochs={every_n_epochs}: should be at least 1")
        self.monitor = monitor
        self.mode = mode
        self.every_n_epochs = every_n_epochs
        self.best_score: float | None = None
        self.best_metrics: dict[str, float] = {}

    @staticmethod
    def folder(trainer: L.Trainer) -> Path:
        """Where the checkpoints of a run are."""
        return Path(trainer.default_root_dir) / "checkpoints"

    def best_checkpoint(self, trainer: L.Trainer) -> str | None:
        """The checkpoint to test: the best, without validation the last; None if none was written."""
        best, last = (self.folder(trainer) / f"{name}.ckpt" for name in ("best", "last"))
        written = best if self.best_score is not None else last
        return str(written) if written.is_file() else None

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Saves on all ranks together; validation of the epoch is done by now."""
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        metrics = epoch_metrics(trainer)
        score = metrics.get(self.monitor)
        if score is not None and self._is_better(score):
            self.best_score = score
            self.best_metrics = metrics
            trainer.save_checkpoint(self.folder(trainer) / "best.ckpt")
        epoch = trainer.current_epoch + 1
        if epoch % self.every_n_epochs == 0 or epoch == trainer.max_epochs or trainer.should_stop:
            trainer.save_checkpoint(self.folder(trainer) / "last.ckpt")

    def _is_better(self, score: float) -> bool:
        if not math.isfinite(score):
            return False
        if self.best_score is None:
            return True
        return score >= self.best_score if self.mode == "max" else score <= self.best_score

    def state_dict(self) -> dict[str, Any]:
        """The best score goes on to count in a resumed run."""
        return {"best_score": self.best_score, "best_metrics": self.best_metrics}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the best score of the run that is resumed."""
        self.best_score = state_dict["best_score"]
        self.best_metrics = state_dict["best_metrics"]

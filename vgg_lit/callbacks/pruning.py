"""Reports epochs of a trial to its study, and stops pruned trials."""

from collections.abc import Callable
from typing import TypeAlias

import lightning.pytorch as L

from vgg_lit.metrics import epoch_metrics
from vgg_lit.tables import format_metric

Report: TypeAlias = Callable[[int, float], bool]
"""Takes an epoch, counted from 1, and the objective; returns True if the trial is to be pruned."""


class Pruning(L.Callback):
    """Reports the objective of each epoch, and stops the run if the study's pruner decides so.

    Rank 0 queries the pruner. All processes stop after the same epoch, whose checkpoint is saved.

    Args:
        report: reports the objective to the study.
        monitor: name of the objective.

    Attributes:
        reason: reason for pruning; None if the run was not pruned.
    """

    def __init__(self, report: Report, monitor: str) -> None:
        self.report = report
        self.monitor = monitor
        self.reason: str | None = None

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Reports the objective, if the epoch was validated; the last epoch is never pruned."""
        value = epoch_metrics(trainer).get(self.monitor)
        if value is None:
            return
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs
        is_pruned = trainer.is_global_zero and self.report(epoch, value)
        if trainer.strategy.broadcast(is_pruned) and epoch != epochs:
            self.reason = f"{self.monitor} {format_metric(self.monitor, value)} after epoch {epoch} of {epochs}"
            trainer.should_stop = True

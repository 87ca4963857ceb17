"""Early end of a trial that the pruner of its study gives up."""

from collections.abc import Callable
from typing import TypeAlias

import lightning.pytorch as L

from vgg_lit.metrics import epoch_metrics

Report: TypeAlias = Callable[[int, float], bool]
"""Takes an epoch, counted from 1, and the objective; returns True if the trial is to be pruned."""


class Pruning(L.Callback):
    """Reports the objective of each epoch, and ends a run that the study's pruner gives up.

    One process asks; all end with the same epoch, whose checkpoint is saved.

    Args:
        report: reports the objective to the study.
        monitor: name of the objective.

    Attributes:
        reason: why the run was pruned; None if it was not.
    """

    def __init__(self, report: Report, monitor: str) -> None:
        self.report = report
        self.monitor = monitor
        self.reason: str | None = None

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Reports and asks; an epoch that was not validated says nothing, and the last is not pruned."""
        value = epoch_metrics(trainer).get(self.monitor)
        if value is None:
            return
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs
        is_pruned = trainer.is_global_zero and self.report(epoch, value)
        if trainer.strategy.broadcast(is_pruned) and epoch != epochs:
            self.reason = f"{self.monitor} {value:.4g} after epoch {epoch} of {epochs}"
            trainer.should_stop = True

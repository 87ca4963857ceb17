"""An epoch in which a training ends: its last step, and the metric states that a resumed run continues."""

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as L
from torchmetrics import Metric

from vgg_lit.system.collectives import gather
from vgg_lit.system.lightning_internals import ends_within_epoch, is_accumulating


class LastStep:
    """Finds the last step of a training that `max_time`, `max_steps` or a callback ends within an epoch."""

    def __init__(self) -> None:
        self._is_stopping = False

    def has_ended(self, trainer: L.Trainer) -> bool:
        """Returns True if that step has just ended; called after each batch on all ranks.

        A stop between accumulated batches waits for their step, because gradients are not saved.
        """
        if is_accumulating(trainer):
            self._is_stopping |= trainer.should_stop
            trainer.should_stop = False
        elif self._is_stopping:
            trainer.should_stop, self._is_stopping = True, False
        return ends_within_epoch(trainer)


def read_metrics(module: L.LightningModule) -> list[dict[str, Any]]:
    """Gathers the states of all metrics in use, one dict per rank; all processes must call it.

    The states are not summed: another order of additions would change the last bit of the metrics.
    """
    return gather(
        {
            name: {
                "updates": metric.update_count,
                "state": {key: getattr(metric, key).cpu() for key in metric.metric_state},
            }
            for name, metric in _metrics(module).items()
            if metric.update_called
        }
    )


def restore_metrics(
    module: L.LightningModule, counted: Sequence[dict[str, Any]], rank: int, world_size: int
) -> None:
    """Restores the states from `read_metrics`, also for a different number of processes.

    Metric states must be sums: with fewer processes than before, states of several ranks are added.
    """
    metrics = _metrics(module)
    for one_process in counted[rank::world_size]:
        for name, counts in one_process.items():
            metric = metrics[name]
            state = counts["state"]
            if "tp" in state and "tp" not in metric.metric_state:
                # the training accuracy in checkpoints of version 0.1.0
                state = {"hits_R": state["tp"], "count": state["tp"] + state["fn"]}
            for key, value in state.items():
                setattr(metric, key, getattr(metric, key) + value.to(metric.device))
            metric._update_count += counts["updates"]


def _metrics(module: L.LightningModule) -> dict[str, Metric]:
    return {name: found for name, found in module.named_modules() if isinstance(found, Metric)}

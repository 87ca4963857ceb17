"""Metric states of an unfinished epoch, saved so that a resumed run can continue them."""

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as L
from torchmetrics import Metric

from vgg_lit.system.collectives import gather


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

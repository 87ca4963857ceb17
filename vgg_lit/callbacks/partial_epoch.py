"""What the metrics of an unfinished epoch have counted, for a resumed run to count on from."""

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as L
from torchmetrics import Metric

from vgg_lit.system.collectives import gather


def read_metrics(module: L.LightningModule) -> list[dict[str, Any]]:
    """The states of all metrics in use, of each process by rank; all processes call this together.

    Not their sums: added in another order, the epoch's figures would differ in the last bit.
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
    """Takes up what `read_metrics` has read, also with another number of processes.

    The states of the metrics that are meant are sums: those of more processes than there are now are
    added to each other.
    """
    metrics = _metrics(module)
    for one_process in counted[rank::world_size]:
        for name, counts in one_process.items():
            metric = metrics[name]
            for key, value in counts["state"].items():
                setattr(metric, key, getattr(metric, key) + value.to(metric.device))
            metric._update_count += counts["updates"]


def _metrics(module: L.LightningModule) -> dict[str, Metric]:
    return {name: found for name, found in module.named_modules() if isinstance(found, Metric)}

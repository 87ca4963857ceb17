"""The logger of TensorBoard's event files: `logger=tensorboard`.

TensorBoard sorts its charts by name and has no setting for their order.
"""

from collections.abc import Mapping

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

LEFT_OUT = ("epoch", "test/top1")
"""Metrics without a chart: Lightning logs `epoch` beside each metric, and `test/top1` equals `test/acc`."""

OF_TRAINING = ("lr", "throughput", "seconds")
"""Metrics whose charts belong below `train/acc` and `train/loss`."""


class EventLogger(TensorBoardLogger):
    """Lightning's logger under other names, so that TensorBoard shows accuracy and loss first."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Writes metrics under their names in TensorBoard."""
        renamed = {chart_name(name): metrics[name] for name in metrics if name not in LEFT_OUT}
        super().log_metrics(renamed, step)


def chart_name(metric: str) -> str:
    """Returns the name of a metric in TensorBoard: `train/lr` for `lr`, `val/final/acc` for `final/val/acc`.

    The test metrics have one value only, which is the final one.
    """
    first, _, rest = metric.partition("/")
    if first == "final":
        split, _, name = chart_name(rest).partition("/")
        return f"{split}/{name}" if split == "test" else f"{split}/final/{name}"
    return f"train/{metric}" if first in OF_TRAINING else metric

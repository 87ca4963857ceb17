"""The metrics of training and evaluation, and access to those of an epoch at its end."""

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from vgg_lit.data.orders import PADDING

# metric -> k of the top-k accuracy
ACCURACIES = {
    "train": {"acc": 1},
    "val": {"acc": 1, "top5": 5},
    "test": {"acc": 1, "top1": 1, "top2": 2, "top3": 3, "top4": 4, "top5": 5},
}


class MeanLoss(Metric):
    """The mean loss over samples.

    torchmetrics' MeanMetric checks for NaN and so waits for the device. With that check turned off, it
    ignores weights (1.9), and so does not exclude the padding.
    """

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, losses: Tensor, weight: Tensor | float) -> None:
        """Adds losses; each is the mean over `weight` samples, with weight 0 for padding."""
        self.total += (losses * weight).sum()
        self.count += weight.sum() if isinstance(weight, Tensor) else weight * losses.numel()

    def compute(self) -> Tensor:
        """The mean."""
        return self.total / self.count


def build_metrics(num_classes: int) -> nn.ModuleDict:
    """Builds loss and accuracies of all stages, by the names they are logged under."""
    metrics = nn.ModuleDict()
    for stage, accuracies in ACCURACIES.items():
        metrics[f"{stage}/loss"] = MeanLoss()
        for name, k in accuracies.items():
            metrics[f"{stage}/{name}"] = _accuracy(num_classes, k, stage)
    return metrics


def _accuracy(num_classes: int, k: int, stage: str) -> MulticlassAccuracy:
    return MulticlassAccuracy(
        num_classes,
        top_k=min(k, num_classes),
        average="micro",
        # excluding padding waits for the device, and training has no padding
        ignore_index=None if stage == "train" else PADDING,
        validate_args=False,
    )


def epoch_metrics(trainer: L.Trainer) -> dict[str, float]:
    """The metrics of the current epoch at its end, by name.

    Lightning's `callback_metrics` keep the last validation in epochs without validation
    (`check_val_every_n_epoch`), but not in a resumed run; here such epochs have no validation metrics.
    """
    every = trainer.check_val_every_n_epoch or 1
    is_validated = (trainer.current_epoch + 1) % every == 0
    return {
        name: float(value)
        for name, value in trainer.callback_metrics.items()
        if is_validated or not name.startswith("val/")
    }

"""The metrics of training and evaluation, and access to those of an epoch at its end.

Shape suffixes: B images per batch, K classes, R ranks.
"""

from typing import cast

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from vgg_lit.data.draws import positions
from vgg_lit.data.orders import PADDING
from vgg_lit.system.lightning_internals import is_validated

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
        weighted = losses * weight
        self.total += weighted.sum() if weighted.ndim else weighted
        self.count += weight.sum() if isinstance(weight, Tensor) else weight * losses.numel()

    def compute(self) -> Tensor:
        """Returns the mean."""
        return self.total / self.count


class TopK(Metric):
    """The share of samples whose label is among the k largest logits.

    All top-k metrics of a stage count the same: samples by the rank of their label. Only the first one
    is updated, and the others `follow` it, so that a step ranks the labels once.

    Args:
        k: number of logits; at most `ranks`.
        ranks: number of ranks that are counted.
        has_padding: labels may be PADDING, which is not counted.

    Attributes:
        hits_R: number of samples by rank of their label; 0 is the largest logit. Of equal logits, the
            class with the lower index is first.
        count: number of samples.
    """

    hits_R: Tensor
    count: Tensor

    def __init__(self, k: int, ranks: int, has_padding: bool) -> None:
        super().__init__()
        self.k, self.ranks, self.has_padding = k, ranks, has_padding
        self.add_state("hits_R", torch.zeros(ranks, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, logits_BK: Tensor, labels_B: Tensor) -> None:
        """Adds a batch."""
        if not self.has_padding and self.ranks == 1:
            self.hits_R += (logits_BK.argmax(dim=1) == labels_B).sum()
            self.count += len(labels_B)
            return
        is_sample_B1 = (labels_B != PADDING)[:, None]
        label_B1 = labels_B.clamp(min=0)[:, None]
        own_B1 = logits_BK.gather(1, label_B1)
        is_first_BK = positions(logits_BK.shape[1], logits_BK.device) < label_B1
        # the label itself is behind, and nothing is behind NaN
        is_behind_BK = torch.where(is_first_BK, logits_BK < own_B1, logits_BK <= own_B1)
        rank_B1 = logits_BK.shape[1] - is_behind_BK.sum(dim=1, keepdim=True)
        is_rank_BR = rank_B1 == positions(self.ranks, logits_BK.device)
        self.hits_R += (is_rank_BR & is_sample_B1).sum(dim=0)
        self.count += is_sample_B1.sum()

    def follow(self, leader: "TopK") -> None:
        """Shares the state of a metric of the same stage, without a computation."""
        self.hits_R, self.count = leader.hits_R, leader.count
        self._update_count, self._computed = leader._update_count, None

    def compute(self) -> Tensor:
        """Returns the share; 0 without samples."""
        return self.hits_R[: self.k].sum() / self.count.clamp(min=1)


def build_metrics(num_classes: int) -> nn.ModuleDict:
    """Builds loss and accuracies of all stages, by the names they are logged under."""
    metrics = nn.ModuleDict()
    for stage, accuracies in ACCURACIES.items():
        metrics[f"{stage}/loss"] = MeanLoss()
        ranks = min(max(accuracies.values()), num_classes)
        for name, k in accuracies.items():
            # training has no padding
            metrics[f"{stage}/{name}"] = TopK(min(k, ranks), ranks, has_padding=stage != "train")
    return metrics


def count_batch(
    metrics: nn.ModuleDict, stage: str, logits_BK: Tensor, labels_B: Tensor, losses: Tensor
) -> None:
    """Adds a batch to the metrics of a stage.

    Args:
        metrics: from `build_metrics`.
        stage: "train", "val" or "test".
        logits_BK: logits in float32.
        labels_B: labels; PADDING in padded positions of "val" and "test".
        losses: loss of each sample (B,), or the mean over a full batch.
    """
    weight = (labels_B != PADDING).float() if losses.ndim else float(len(labels_B))
    cast(MeanLoss, metrics[f"{stage}/loss"]).update(losses, weight=weight)
    leader, *others = (cast(TopK, metrics[f"{stage}/{name}"]) for name in ACCURACIES[stage])
    leader.update(logits_BK, labels_B)
    for other in others:
        other.follow(leader)


def epoch_metrics(trainer: L.Trainer) -> dict[str, float]:
    """Returns the metrics of the current epoch at its end, by name.

    Lightning's `callback_metrics` keep the last validation in epochs without one: those between two
    validations (`check_val_every_n_epoch`), and one that `max_steps` ends early.
    """
    return {
        name: float(value)
        for name, value in trainer.callback_metrics.items()
        if not name.startswith("val/") or is_validated(trainer)
    }

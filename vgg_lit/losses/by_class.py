"""Cross-entropy, focal loss, and binary cross-entropy of one class against all.

Shape suffixes: B images per batch, K classes.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Reduction = Literal["mean", "sum"]


def training_loss(logits_BK: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    """Returns the mean cross-entropy of a batch without padding.

    It equals `F.cross_entropy` to the bit on a CPU, but does not search the labels for `ignore_index`,
    which takes 5 kernels.

    Args:
        logits_BK: logits.
        targets: labels (B,) or class probabilities (B, K).
        label_smoothing: share of the target spread evenly over all classes.
    """
    if targets.ndim > 1 or not label_smoothing:
        return F.cross_entropy(logits_BK, targets, label_smoothing=label_smoothing)
    logarithm_BK = F.log_softmax(logits_BK, dim=1)
    spread = -logarithm_BK.sum(dim=1)
    own = F.nll_loss(logarithm_BK, targets)
    share = label_smoothing / logits_BK.shape[1]
    return (1 - label_smoothing) * own + spread.sum() / len(targets) * share


class ClassLoss(nn.Module):
    """The base of the losses: label smoothing, class weights and reduction.

    Class weights multiply the terms of the classes. The sum is divided by the number of images, not by
    their weights, so that the gradient does not depend on the number of processes.

    Args:
        label_smoothing: share of the target probability that is spread over all classes.
        class_weights: weight of each class; None weights all equally.
        reduction: "mean" over images, or "sum" over the images of an optimiser step.

    Raises:
        ValueError: label_smoothing is out of range.
    """

    weights_K: Tensor | None

    def __init__(
        self,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        if not label_smoothing >= 0:
            raise ValueError(
                f"label_smoothing={label_smoothing}: should be greater than or equal to 0"
            )
        if label_smoothing >= 1:
            raise ValueError(f"label_smoothing={label_smoothing}: should be less than 1")
        self.label_smoothing = label_smoothing
        self.reduction = reduction
        weights_K = None if class_weights is None else torch.tensor(class_weights).float()
        self.register_buffer("weights_K", weights_K, persistent=False)

    def smoothed(self, logits_BK: Tensor, targets: Tensor) -> Tensor:
        """Returns the target probabilities (B, K) with label smoothing."""
        num_classes = logits_BK.shape[1]
        if targets.ndim == 1:
            targets = F.one_hot(targets, num_classes)
        spread = self.label_smoothing / num_classes
        return targets.to(logits_BK.dtype) * (1 - self.label_smoothing) + spread

    def weighted(self, losses_BK: Tensor) -> Tensor:
        """Returns the terms of each class, multiplied by the class weights."""
        return losses_BK if self.weights_K is None else losses_BK * self.weights_K

    def reduced(self, losses_B: Tensor) -> Tensor:
        """Returns the mean or the sum of the losses of images."""
        return losses_B.sum() if self.reduction == "sum" else losses_B.mean()


class CrossEntropy(ClassLoss):
    """Cross-entropy, as `torch.nn.functional.cross_entropy`."""

    def forward(self, logits_BK: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss of a batch."""
        if self.weights_K is None and self.reduction == "mean":
            return training_loss(logits_BK, targets, self.label_smoothing)
        loss = partial(F.cross_entropy, logits_BK, targets, label_smoothing=self.label_smoothing)
        if self.weights_K is None:
            return loss(reduction="sum")
        return self.reduced(loss(weight=self.weights_K, reduction="none"))


class Focal(ClassLoss):
    """Focal loss of the softmax: cross-entropy terms times (1 - p)^gamma.

    With class probabilities as targets, the terms are weighted by them. With gamma=0 it is cross-entropy.
    For two classes it equals `torchvision.ops.sigmoid_focal_loss` of the difference of the logits.

    Args:
        gamma: power that reduces the loss of images that are already classified well.
        label_smoothing: as for `ClassLoss`.
        class_weights: as for `ClassLoss`; the alpha of the paper.
        reduction: as for `ClassLoss`.

    Source: Lin et al. 2017, section 3, https://arxiv.org/abs/1708.02002.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(label_smoothing, class_weights, reduction)
        if gamma < 0:
            raise ValueError(f"gamma={gamma}: should be at least 0")
        self.gamma = gamma

    def forward(self, logits_BK: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss of a batch."""
        log_p_BK = logits_BK.log_softmax(dim=1)
        # -expm1: 1 - p without cancellation; clamped, because the gradient of 0^gamma can be NaN
        others_BK = (-torch.expm1(log_p_BK)).clamp(min=torch.finfo(log_p_BK.dtype).tiny)
        losses_BK = -self.smoothed(logits_BK, targets) * others_BK**self.gamma * log_p_BK
        return self.reduced(self.weighted(losses_BK).sum(dim=1))


class BinaryCrossEntropy(ClassLoss):
    """Binary cross-entropy of each class against all others, for soft targets of mixed images.

    Args:
        label_smoothing: as for `ClassLoss`.
        class_weights: as for `ClassLoss`.
        reduction: as for `ClassLoss`.
        sum_classes: sums over the classes; False takes their mean, as timm does by default.
        target_threshold: target probabilities above it become 1, the others 0; None keeps them.

    Source: Wightman et al. 2021, section 4, https://arxiv.org/abs/2110.00476.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        reduction: Reduction = "mean",
        sum_classes: bool = False,
        target_threshold: float | None = None,
    ) -> None:
        super().__init__(label_smoothing, class_weights, reduction)
        self.sum_classes = sum_classes
        self.target_threshold = target_threshold

    def forward(self, logits_BK: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss of a batch."""
        targets_BK = self.smoothed(logits_BK, targets)
        if self.target_threshold is not None:
            targets_BK = (targets_BK > self.target_threshold).to(logits_BK.dtype)
        losses_BK = F.binary_cross_entropy_with_logits(logits_BK, targets_BK, reduction="none")
        losses_BK = self.weighted(losses_BK)
        return self.reduced(losses_BK.sum(dim=1) if self.sum_classes else losses_BK.mean(dim=1))

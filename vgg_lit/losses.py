"""The losses of training: cross-entropy, focal loss, and binary cross-entropy of one class against all.

    objective = Objective({"_target_": "vgg_lit.losses.Focal", "gamma": 2.0}, num_classes=10)
    loss = objective(logits_BK, targets)

A loss is called with float32 logits (B, K) and targets: labels (B,), or class probabilities (B, K) if
images are mixed. It returns a scalar, or one value per image (B,). Padding never reaches a loss.

Shape suffixes: B images per batch, K classes, N images.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vgg_lit.errors import ConfigError, InputError
from vgg_lit.targets import instantiate

Reduction = Literal["mean", "sum"]

EFFECTIVE_BETA = 0.9999
"""The beta of the effective number of images, as for long-tailed CIFAR (Cui et al. 2019, section 5)."""


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


class Objective:
    """The loss of a training, built from its config; any callable of logits and targets.

    It is not a submodule of the classifier, so the keys of checkpoints do not depend on the loss.

    Args:
        spec: `_target_` and arguments of the loss, as in `conf/loss`.
        num_classes: number of classes.

    Raises:
        ConfigError: the loss cannot be built, has trainable parameters, or has other classes.
    """

    def __init__(self, spec: Mapping[str, Any], num_classes: int) -> None:
        weights = spec.get("class_weights")
        if isinstance(weights, Sequence) and not isinstance(weights, str):
            _check_weights(weights, num_classes)
        loss = instantiate(spec, key="loss")
        if not callable(loss):
            raise ConfigError(f"loss._target_={spec['_target_']}: is not a function of logits")
        self._loss = cast(Callable[[Tensor, Tensor], Tensor], loss)
        self._module = loss if isinstance(loss, nn.Module) else None
        if self._module is not None and any(True for _ in self._module.parameters()):
            raise ConfigError(
                f"loss._target_={spec['_target_']}: has parameters, which are not trained; "
                "move them into the network"
            )
        self._device: torch.device | None = None
        self.is_sum = getattr(loss, "reduction", "mean") == "sum"

    @property
    def is_cross_entropy(self) -> bool:
        """True if the loss is plain cross-entropy, apart from label smoothing."""
        return isinstance(self._loss, CrossEntropy) and self._loss.weights_K is None

    def __call__(self, logits_BK: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss of a batch, a scalar: its mean, or its sum with `reduction=sum`."""
        if self._module is not None and self._device != logits_BK.device:
            self._module.to(logits_BK.device)
            self._device = logits_BK.device
        loss = self._loss(logits_BK, targets)
        return loss.mean() if loss.ndim else loss

    def mean(self, loss: Tensor, num_images: int) -> Tensor:
        """Returns the mean over images of a loss that was returned for this number of images."""
        return loss / num_images if self.is_sum else loss


def _check_weights(weights: Sequence[float], num_classes: int) -> None:
    if len(weights) != num_classes:
        raise ConfigError(
            f"loss.class_weights: {len(weights)} weights for {num_classes} classes; "
            "allowed: one for each class"
        )
    for weight in weights:
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < 1e9:
            raise ConfigError(f"loss.class_weights={weight}: should be a number of at least 0")


def class_weights(method: str, labels_N: Tensor, num_classes: int) -> list[float]:
    """Returns a weight for each class, with mean 1 over the training images.

    Args:
        method: `auto`, inverse frequency (scikit-learn's "balanced"); or `effective`, the inverse of the
            effective number of images (Cui et al. 2019, equation 2).
        labels_N: labels of the training images.
        num_classes: number of classes; one without images has the weight 0.

    Raises:
        ConfigError: there is no such method.
    """
    counts_K = labels_N.cpu().bincount(minlength=num_classes).double()
    if method == "auto":
        effective_K = counts_K
    elif method == "effective":
        effective_K = (1 - EFFECTIVE_BETA**counts_K) / (1 - EFFECTIVE_BETA)
    else:
        raise ConfigError(
            f"loss.class_weights={method}: allowed: auto, effective, null, or a weight for each class"
        )
    weights_K = torch.where(counts_K > 0, 1 / effective_K, 0.0)
    weights_K *= counts_K.sum() / (weights_K * counts_K).sum()
    return [float(f"{weight:.6g}") for weight in weights_K.tolist()]


def with_class_weights(
    spec: Mapping[str, Any], labels_N: Tensor | None, num_classes: int
) -> dict[str, Any]:
    """Returns the config of a loss with numbers in place of a method in `class_weights`.

    Args:
        spec: `_target_` and arguments of the loss.
        labels_N: labels of the training images; None if the data module does not offer them.
        num_classes: number of classes.

    Raises:
        InputError: the method needs labels, but there are none.
    """
    method = spec.get("class_weights")
    if not isinstance(method, str):
        return dict(spec)
    if labels_N is None:
        raise InputError(
            f"loss.class_weights={method}: needs a data module with training_labels; "
            "set a weight for each class instead"
        )
    return {**spec, "class_weights": class_weights(method, labels_N, num_classes)}

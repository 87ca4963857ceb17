"""The loss of a training, built from its config.

Shape suffixes: B images per batch, C channels, H x W pixels, K classes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from vgg_lit.errors import ConfigError
from vgg_lit.losses.by_class import CrossEntropy
from vgg_lit.losses.weighting import check_weights
from vgg_lit.targets import instantiate


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
            check_weights(weights, num_classes)
        loss = instantiate(spec, key="loss")
        if not callable(loss):
            raise ConfigError(f"loss._target_={spec['_target_']}: is not a function of logits")
        self._loss = cast(Callable[..., Tensor], loss)
        self._module = loss if isinstance(loss, nn.Module) else None
        if self._module is not None and any(True for _ in self._module.parameters()):
            raise ConfigError(
                f"loss._target_={spec['_target_']}: has parameters, which are not trained; "
                "move them into the network"
            )
        self._device: torch.device | None = None
        self.is_sum = getattr(loss, "reduction", "mean") == "sum"
        self.takes_images = bool(getattr(loss, "takes_images", False))

    def __deepcopy__(self, memo: dict[int, Any]) -> "Objective":
        """Returns the same object: an average of the weights does not copy a teacher."""
        return self

    def prepare(self, classes: Sequence[str], preprocessing: Mapping[str, Any]) -> None:
        """Passes class names and preprocessing to a loss that has a method `prepare`."""
        if prepare := getattr(self._loss, "prepare", None):
            prepare(classes, preprocessing)

    @property
    def is_cross_entropy(self) -> bool:
        """True if the loss is plain cross-entropy, apart from label smoothing."""
        return isinstance(self._loss, CrossEntropy) and self._loss.weights_K is None

    def __call__(self, logits_BK: Tensor, targets: Tensor, x_BCHW: Tensor | None = None) -> Tensor:
        """Returns the loss of a batch, a scalar: its mean, or its sum with `reduction=sum`.

        Args:
            logits_BK: float32 logits.
            targets: labels (B,) or class probabilities (B, K).
            x_BCHW: normalised images, for a loss that takes them.
        """
        if self._module is not None and self._device != logits_BK.device:
            self._module.to(logits_BK.device)
            self._device = logits_BK.device
        inputs = (logits_BK, targets, x_BCHW) if self.takes_images else (logits_BK, targets)
        loss = self._loss(*inputs)
        return loss.mean() if loss.ndim else loss

    def mean(self, loss: Tensor, num_images: int) -> Tensor:
        """Returns the mean over images of a loss that was returned for this number of images."""
        return loss / num_images if self.is_sum else loss

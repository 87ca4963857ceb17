"""Weights of the classes in a loss.

Shape suffixes: K classes, N images.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vgg_lit.errors import ConfigError, InputError

EFFECTIVE_BETA = 0.9999
"""The beta of the effective number of images, as for long-tailed CIFAR (Cui et al. 2019, section 5)."""


def check_weights(weights: Sequence[float], num_classes: int) -> None:
    """Raises ConfigError unless there is a weight of at least 0 for each class."""
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

"""Predictions on the validation images, kept without waiting for the device."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from vgg_lit.analysis.errors import Predictions
from vgg_lit.data.orders import PADDING

Gather = Callable[[Tensor], Tensor]
"""Maps a tensor to the stacked tensors of all processes; with one process to the tensor itself."""


class Mistakes(NamedTuple):
    """Wrong predictions, the most confident first.

    Attributes:
        confidence_N: confidence of the predictions; below 0 for entries that are not mistakes.
        x_NCHW: network input.
        labels_N: true classes.
        predicted_N: predicted classes.
    """

    confidence_N: Tensor
    x_NCHW: Tensor
    labels_N: Tensor
    predicted_N: Tensor

    def most_confident(self, count: int) -> "Mistakes":
        """Returns the `count` most confident mistakes."""
        order = self.confidence_N.topk(min(count, len(self.confidence_N))).indices
        return Mistakes(*(part.index_select(0, order) for part in self))


class ValidationOutcome:
    """Predictions of a validation run, collected by batch, with the images of the worst mistakes.

    Args:
        worst: number of mistakes to keep.
    """

    def __init__(self, worst: int) -> None:
        self._worst = worst
        self._probabilities: list[Tensor] = []
        self._labels: list[Tensor] = []
        self._mistakes: Mistakes | None = None

    def add(self, logits_BK: Tensor, labels_B: Tensor, x_BCHW: Tensor) -> None:
        """Adds a batch; labels may be PADDING."""
        probabilities_BK = logits_BK.detach().float().softmax(dim=1)
        confidence_B, predicted_B = probabilities_BK.max(dim=1)
        is_wrong_B = (predicted_B != labels_B) & (labels_B != PADDING)
        found = Mistakes(confidence_B.where(is_wrong_B, -1), x_BCHW, labels_B, predicted_B)
        if self._mistakes is not None:
            pairs = zip(self._mistakes, found, strict=True)
            found = Mistakes(*(torch.cat(pair) for pair in pairs))
        self._mistakes = found.most_confident(self._worst)
        self._probabilities.append(probabilities_BK)
        self._labels.append(labels_B)

    def __bool__(self) -> bool:
        return bool(self._labels)

    def predictions(self, gather: Gather) -> Predictions:
        """Returns the predictions of all processes, on the CPU, without padding."""
        probabilities_NK = _joined(gather, torch.cat(self._probabilities), dims=2).cpu()
        labels_N = _joined(gather, torch.cat(self._labels), dims=1).cpu()
        is_image = labels_N != PADDING
        return Predictions(probabilities_NK[is_image], labels_N[is_image])

    def mistakes(self, gather: Gather) -> Mistakes:
        """Returns the worst mistakes of all processes, on the CPU."""
        assert self._mistakes is not None, "a validation has at least one batch"
        dims = [part.ndim for part in self._mistakes]
        parts = zip(self._mistakes, dims, strict=True)
        found = Mistakes(*(_joined(gather, part, n).cpu() for part, n in parts))
        found = found.most_confident(self._worst)
        are_real = found.confidence_N >= 0
        return Mistakes(*(part[are_real] for part in found))


def _joined(gather: Gather, one: Tensor, dims: int) -> Tensor:
    """Returns the concatenated tensors of all processes."""
    gathered = gather(one)
    return gathered if gathered.ndim == dims else gathered.flatten(0, 1)

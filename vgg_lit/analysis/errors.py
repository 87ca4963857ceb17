"""Errors of a classifier: confusion matrix, class scores, confused pairs and calibration.

    found = Predictions(probabilities_NK, labels_N)
    confused_pairs(confusion_matrix(found))[0]  # (true class, predicted class, images)

N images, K classes.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)


@dataclass(frozen=True)
class Predictions:
    """Class probabilities (N, K) of images, and their true classes (N,)."""

    probabilities_NK: Tensor
    labels_N: Tensor

    @property
    def num_classes(self) -> int:
        """The number of classes K."""
        return self.probabilities_NK.shape[1]

    @cached_property
    def predicted_N(self) -> Tensor:
        """The most likely class of each image."""
        return self.probabilities_NK.argmax(dim=1)

    @cached_property
    def confidence_N(self) -> Tensor:
        """The probability of the most likely class of each image."""
        return self.probabilities_NK.amax(dim=1)

    @property
    def is_right_N(self) -> Tensor:
        """True for each image whose most likely class is its true class."""
        return self.predicted_N == self.labels_N

    def right(self, count: int) -> Tensor:
        """Returns positions of `count` correctly classified images, spread evenly over all of them."""
        return _spread(self.is_right_N.nonzero().flatten(), count)

    def wrong(self, count: int) -> Tensor:
        """Returns positions of `count` wrongly classified images, spread evenly over all of them."""
        return _spread((~self.is_right_N).nonzero().flatten(), count)

    def worst(self, count: int) -> Tensor:
        """Returns positions of the `count` most confident wrong predictions, most confident first."""
        wrong = (~self.is_right_N).nonzero().flatten()
        order = self.confidence_N[wrong].argsort(descending=True, stable=True)
        return wrong[order[:count]]

    def suspicious_labels(self, count: int) -> Tensor:
        """Returns positions of the `count` likeliest wrong labels, likeliest first.

        They are the wrongly classified images with the lowest probability of their label. The network
        must not have been trained on these images.

        Source: Northcutt et al. 2021, Confident Learning, ranking by self-confidence.
        """
        wrong = (~self.is_right_N).nonzero().flatten()
        own = self.probabilities_NK[wrong, self.labels_N[wrong]]
        return wrong[own.argsort(stable=True)[:count]]

    def confused(self, true: int, predicted: int, count: int) -> Tensor:
        """Returns positions of images of class `true` predicted as `predicted`, most confident first."""
        pair = ((self.labels_N == true) & (self.predicted_N == predicted)).nonzero().flatten()
        return pair[self.confidence_N[pair].argsort(descending=True, stable=True)[:count]]


def _spread(positions: Tensor, count: int) -> Tensor:
    if len(positions) <= count:
        return positions
    return positions[torch.linspace(0, len(positions) - 1, count).long()]


def confusion_matrix(found: Predictions) -> Tensor:
    """Returns image counts (K, K): true classes in rows, predicted classes in columns."""
    return multiclass_confusion_matrix(found.predicted_N, found.labels_N, found.num_classes)


class ClassScores(NamedTuple):
    """Scores of each class (K,): fractions in 0..1; 0 where the denominator is 0.

    The recall of a class is the accuracy on its images.
    """

    images: Tensor
    precision: Tensor
    recall: Tensor
    f1: Tensor


def class_scores(found: Predictions) -> ClassScores:
    """Returns the number of images, precision, recall and F1 of each class."""
    predicted_N, labels_N, count = found.predicted_N, found.labels_N, found.num_classes
    scores = [
        score(predicted_N, labels_N, count, average="none")
        for score in (multiclass_precision, multiclass_recall, multiclass_f1_score)
    ]
    return ClassScores(labels_N.bincount(minlength=count), *scores)


class ConfusedPair(NamedTuple):
    """A true class, a wrong predicted class, and the number of images so classified."""

    true: int
    predicted: int
    images: int


def confused_pairs(matrix_KK: Tensor, most: int) -> list[ConfusedPair]:
    """Returns the pairs of classes confused most often, most images first."""
    off_diagonal = matrix_KK.clone().fill_diagonal_(0)
    order = off_diagonal.flatten().argsort(descending=True, stable=True)[:most].tolist()
    cells = [divmod(index, len(matrix_KK)) for index in order]
    pairs = [ConfusedPair(true, taken, int(off_diagonal[true, taken])) for true, taken in cells]
    return [pair for pair in pairs if pair.images]


class Calibration(NamedTuple):
    """Confidence and accuracy of predictions, in bins of equal width by confidence.

    Attributes:
        edges: bin edges (bins + 1,) from 0 to 1; a bin includes its upper edge.
        images: number of images (bins,) in each bin.
        confidence: mean confidence (bins,) of each bin; NaN for an empty bin.
        accuracy: accuracy (bins,) of each bin; NaN for an empty bin.
        error: expected calibration error, the mean over images of |accuracy - confidence| of their bin.
    """

    edges: Tensor
    images: Tensor
    confidence: Tensor
    accuracy: Tensor
    error: float


def calibration(found: Predictions, bins: int = 15) -> Calibration:
    """Compares the confidence of predictions with their accuracy, in bins.

    Source: Guo et al. 2017, section 2.
    """
    edges = torch.linspace(0, 1, bins + 1)
    confidence_N = found.confidence_N.double().cpu()
    bin_N = torch.bucketize(confidence_N, edges[1:-1].double())
    images = bin_N.bincount(minlength=bins)
    error = multiclass_calibration_error(
        found.probabilities_NK, found.labels_N, found.num_classes, n_bins=bins
    )
    return Calibration(
        edges,
        images,
        bin_N.bincount(confidence_N, bins) / images,
        bin_N.bincount(found.is_right_N.double().cpu(), bins) / images,
        float(error),
    )

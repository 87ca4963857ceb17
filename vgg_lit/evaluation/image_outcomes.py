"""The outcome of each image in an evaluation: predicted class, loss and rank of the true class.

    outcomes = ImageOutcomes()
    outcomes.update(log_posterior_BK, labels_B, ids_B)
    write_text(file, outcomes.to_csv(classes, names))

Shape suffixes: B images of a batch, N images, K classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from vgg_lit.data.orders import PADDING
from vgg_lit.tables import to_csv

COLUMNS = ("image", "true", "predicted", "probability", "loss", "rank")
"""Columns of `predictions_<split>.csv`."""


class ImageOutcomes:
    """Collects the outcome of each image, without padding."""

    def __init__(self) -> None:
        self._integers: list[Tensor] = []  # (B, 4): id, label, predicted class, rank of the label
        self._floats: list[Tensor] = []  # (B, 2): probability of the predicted class, loss

    def update(self, log_posterior_BK: Tensor, labels_B: Tensor, ids_B: Tensor) -> None:
        """Adds a batch."""
        is_image_B = labels_B != PADDING
        log_posterior_BK, labels_B = log_posterior_BK[is_image_B], labels_B[is_image_B]
        # stable, so that ties have the same order as in the accuracies
        ranking_BK = log_posterior_BK.argsort(dim=1, descending=True, stable=True)
        predicted_B = ranking_BK[:, 0]
        rank_B = (ranking_BK == labels_B[:, None]).int().argmax(dim=1) + 1
        own_B = log_posterior_BK.gather(1, labels_B[:, None])[:, 0]
        probability_B = log_posterior_BK.gather(1, predicted_B[:, None])[:, 0].exp()
        ids_B = ids_B.to(is_image_B.device)[is_image_B]
        integers_BI = torch.stack([ids_B, labels_B, predicted_B, rank_B], dim=1)
        self._integers.append(integers_BI.cpu())
        self._floats.append(torch.stack([probability_B, -own_B], dim=1).cpu())

    @property
    def ids_N(self) -> Tensor:
        """The ids of the images, as in their batches."""
        return torch.cat(self._integers)[:, 0]

    def to_csv(self, classes: Sequence[str], names: Sequence[str]) -> str:
        """Formats the outcomes as CSV: a row an image, in the order of the batches.

        Args:
            classes: class names in label order.
            names: file or index of each image.
        """
        integers, floats = torch.cat(self._integers).tolist(), torch.cat(self._floats).tolist()
        values = [
            (name, classes[label], classes[predicted], f"{p:.6f}", f"{loss:.6f}", rank)
            for name, (_, label, predicted, rank), (p, loss) in zip(
                names, integers, floats, strict=True
            )
        ]
        return to_csv([dict(zip(COLUMNS, row, strict=True)) for row in values], COLUMNS)

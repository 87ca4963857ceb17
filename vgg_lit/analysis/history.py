"""Metrics of a run by epoch: the best epoch, and remarks on over- and underfitting."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NAN = float("nan")

LARGEST_DRAWN = 1e30
"""Limit on the magnitude of a value in a chart; the ticks of an axis up to 1e308 cannot be computed."""


def drawable(value: float) -> float:
    """Returns a value, or infinity with its sign if no axis can show it; charts leave a gap there."""
    return math.copysign(math.inf, value) if abs(value) > LARGEST_DRAWN else value


@dataclass(frozen=True)
class History:
    """Metrics by epoch, as stored in a run's `metrics.csv`.

    Attributes:
        epochs: epoch numbers, from 1.
        metrics: name -> one value per epoch; NaN where it was not measured.
        monitor: metric that selects the best epoch.
        mode: "max" if its highest value is the best, "min" if its lowest is.
    """

    epochs: Sequence[int]
    metrics: Mapping[str, Sequence[float]]
    monitor: str = "val/loss"
    mode: str = "min"

    @classmethod
    def from_rows(
        cls, rows: Sequence[Mapping[str, str]], monitor: str = "val/loss", mode: str = "min"
    ) -> "History":
        """Builds a history from the rows of a `metrics.csv`."""
        names = [name for name in (rows[0] if rows else {}) if name not in ("epoch", "step")]
        values = {
            name: [drawable(float(row[name])) if row[name] else NAN for row in rows]
            for name in names
        }
        return cls([int(row["epoch"]) for row in rows], values, monitor, mode)

    def __getitem__(self, name: str) -> Sequence[float]:
        return self.metrics.get(name, [NAN] * len(self.epochs))

    def gap(self) -> list[float]:
        """Returns training accuracy minus validation accuracy, by epoch."""
        both = zip(self["train/acc"], self["val/acc"], strict=True)
        return [train - val for train, val in both]

    @property
    def best(self) -> int | None:
        """The index of the epoch that `monitor` selects; None without validation.

        As in training, the last of equal epochs is the best.
        """
        return self._best(self.monitor, -1 if self.mode == "max" else 1)

    @property
    def lowest_loss(self) -> int | None:
        """The index of the epoch with the lowest validation loss; None without validation."""
        return self._best("val/loss", 1)

    def _best(self, metric: str, sign: int) -> int | None:
        measured = [i for i, value in enumerate(self[metric]) if math.isfinite(value)]
        return min(reversed(measured), key=lambda i: sign * self[metric][i], default=None)


def remark(history: History, num_validation: int, label_smoothing: float = 0.0) -> list[str]:
    """Returns sentences on over- and underfitting, limited to statistically significant statements.

    Two accuracies count as different if they differ by more than two standard errors of an accuracy on
    `num_validation` images.
    """
    best = history.lowest_loss
    if best is None or not num_validation:
        return ["No validation results, so over- and underfitting cannot be assessed."]
    if len(history.epochs) < 3:
        return ["Too few epochs to assess over- or underfitting."]
    accuracy, loss = history["val/acc"], history["val/loss"]
    noise = 2 * math.sqrt(max(accuracy[best] * (1 - accuracy[best]), 1e-4) / num_validation)
    gap = history.gap()[best]
    found = [
        f"Lowest validation loss in epoch {history.epochs[best]} of {history.epochs[-1]}: accuracy"
        f" {_percent(accuracy[best])} (95 % interval ± {_points(noise)} on {num_validation:,} images)."
    ]
    if gap > noise:
        found.append(
            f"Overfitting: training accuracy is {_points(gap)} above validation accuracy in that epoch,"
            " a significant gap; more augmentation, weight decay or data may help."
        )
    else:
        found.append(
            f"No sign of overfitting: training accuracy is {_points(abs(gap))}"
            f" {'above' if gap > 0 else 'below'} validation accuracy in that epoch; only a gap above"
            f" {_points(noise)} would be significant."
        )
    last = max(i for i, value in enumerate(loss) if not math.isnan(value))
    if loss[last] > 1.05 * loss[best] > 0:
        found.append(
            f"After that epoch validation loss rose by {loss[last] / loss[best] - 1:.0%}: wrong"
            " predictions became more confident."
        )
    earlier = history["train/acc"][-1 - max(1, len(history.epochs) // 5)]
    if best == last and history["train/acc"][-1] - earlier > noise and gap < noise:
        found.append(
            "Underfitting: training accuracy and validation loss were still improving when training"
            " ended; more epochs, a higher learning rate or a larger network may help."
        )
    found.append(
        "Training accuracy is measured on augmented images while the weights change, so it differs"
        " from the accuracy of the final network on the same images."
    )
    if label_smoothing:
        found.append(
            f"Training loss includes label smoothing {label_smoothing:g}, validation loss does not:"
            " compare their trends, not their values."
        )
    return found


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f} points"

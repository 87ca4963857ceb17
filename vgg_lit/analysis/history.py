"""What the metrics of a run's epochs say: the best epoch, and whether the network over- or underfits."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NAN = float("nan")


@dataclass(frozen=True)
class History:
    """Metrics by epoch, as a run's table has them.

    Attributes:
        epochs: numbers, from 1.
        metrics: name -> a value an epoch; NaN where it was not measured.
    """

    epochs: Sequence[int]
    metrics: Mapping[str, Sequence[float]]

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, str]]) -> "History":
        """From the rows of a `metrics.csv`."""
        names = [name for name in (rows[0] if rows else {}) if name not in ("epoch", "step")]
        values = {name: [float(row[name]) if row[name] else NAN for row in rows] for name in names}
        return cls([int(row["epoch"]) for row in rows], values)

    def __getitem__(self, name: str) -> Sequence[float]:
        return self.metrics.get(name, [NAN] * len(self.epochs))

    def gap(self) -> list[float]:
        """By how much training accuracy is above that of validation."""
        both = zip(self["train/acc"], self["val/acc"], strict=True)
        return [train - val for train, val in both]

    @property
    def best(self) -> int | None:
        """Position of the epoch with the lowest validation loss; None without validation."""
        measured = [i for i, loss in enumerate(self["val/loss"]) if not math.isnan(loss)]
        return min(measured, key=lambda i: self["val/loss"][i], default=None)


def remark(history: History, num_validation: int, label_smoothing: float = 0.0) -> list[str]:
    """Sentences on over- and underfitting that claim no more than the validation images can show.

    Two accuracies count as different if they are more than two standard errors of a share of
    `num_validation` images apart.
    """
    best = history.best
    if best is None or not num_validation:
        return ["Nothing was validated, so over- and underfitting cannot be told."]
    if len(history.epochs) < 3:
        return ["Too few epochs to tell over- or underfitting."]
    accuracy, loss = history["val/acc"], history["val/loss"]
    noise = 2 * math.sqrt(max(accuracy[best] * (1 - accuracy[best]), 1e-4) / num_validation)
    gap = history.gap()[best]
    found = [
        f"Lowest validation loss in epoch {history.epochs[best]} of {history.epochs[-1]}: accuracy"
        f" {_percent(accuracy[best])}, which {num_validation:,} images know to"
        f" ± {_points(noise)}."
    ]
    if gap > noise:
        found.append(
            f"Overfitting: training accuracy is {_points(gap)} above validation's there, more than"
            " chance; more augmentation, weight decay or data may help."
        )
    else:
        found.append(
            f"No sign of overfitting in the accuracies: training is {_points(abs(gap))}"
            f" {'above' if gap > 0 else 'below'} validation there, which is within chance or on the"
            " safe side."
        )
    last = max(i for i, value in enumerate(loss) if not math.isnan(value))
    if loss[last] > 1.05 * loss[best]:
        found.append(
            f"After it validation loss rose by {loss[last] / loss[best] - 1:.0%}: the later epochs"
            " made the network surer where it is wrong."
        )
    earlier = history["train/acc"][-1 - max(1, len(history.epochs) // 5)]
    if best == last and history["train/acc"][-1] - earlier > noise and gap < noise:
        found.append(
            "Underfitting: both were still getting better when training ended; more epochs, a"
            " higher rate or a larger network may help."
        )
    found.append(
        "Training is measured on augmented images while the weights still change, so its accuracy is"
        " not that of the finished network on the same images."
    )
    if label_smoothing:
        found.append(
            f"Training loss has label smoothing {label_smoothing:g} in it and validation loss has"
            " not: their levels cannot be compared, only their courses."
        )
    return found


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f} points"

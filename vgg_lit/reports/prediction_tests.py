"""McNemar's test of two runs, on the predictions that `evaluate` writes for each image.

found = compare_predictions(Run("logs/runs/a"), Run("logs/runs/b"))
found.p_value
"""

from dataclasses import dataclass

from vgg_lit.analysis.significance import mcnemar
from vgg_lit.checkpoints.folder import predictions_file
from vgg_lit.errors import InputError
from vgg_lit.runs import Run
from vgg_lit.system.overrides import pasteable
from vgg_lit.tables import read_csv

SPLITS = ("test", "val")


@dataclass(frozen=True)
class PredictionTest:
    """McNemar's exact test of two runs on the same images.

    Attributes:
        split: split of the images.
        images: number of images.
        only_first: number of images that only the first run gets right.
        only_second: number of images that only the second run gets right.
        p_value: two-sided p-value.
    """

    split: str
    images: int
    only_first: int
    only_second: int
    p_value: float


def compare_predictions(first: Run, second: Run) -> PredictionTest | None:
    """Returns the test on a split that both runs have predictions for, test before val.

    Returns None if there is no such split, or if the images of each are different ones.

    Raises:
        InputError: a file of predictions cannot be read.
    """
    for split in SPLITS:
        ours, others = (_read(run, split) for run in (first, second))
        if ours is None or others is None:
            continue
        if {name: true for name, (true, _) in ours.items()} != {
            name: true for name, (true, _) in others.items()
        }:
            continue
        is_right = [
            tuple(true == found for true, found in (ours[name], others[name])) for name in ours
        ]
        only_first, only_second = is_right.count((True, False)), is_right.count((False, True))
        p_value = mcnemar(only_first, only_second)
        return PredictionTest(split, len(ours), only_first, only_second, p_value)
    return None


def predicted_splits(run: Run) -> list[str]:
    """Returns the splits that a run has a file of predictions for."""
    return [split for split in SPLITS if predictions_file(run.path, split).is_file()]


def _read(run: Run, split: str) -> dict[str, tuple[str, str]] | None:
    """Returns the true and the predicted class of each image; None if there is no file."""
    file = predictions_file(run.path, split)
    if not file.is_file():
        return None
    try:
        return {row["image"]: (row["true"], row["predicted"]) for row in read_csv(file)}
    except (KeyError, OSError, ValueError) as error:
        raise InputError(
            f"{file}: cannot be read ({error}); evaluate the run again: "
            + pasteable("evaluate", run.selection | {"split": split})
        ) from None

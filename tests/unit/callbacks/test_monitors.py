"""Scores of checkpoints: comparisons, and a monitored metric that is missing."""

import math

import pytest

from vgg_lit.callbacks.monitors import is_better, is_scored_alike, monitored
from vgg_lit.errors import TrainingError


def test_a_missing_metric_is_an_error_only_after_a_validation():
    assert monitored("val/acc", {"train/acc": 0.5}) is None
    assert monitored("val/acc", {"val/acc": 0.5}) == 0.5
    with pytest.raises(TrainingError, match=r"monitor=nope: .* available: val/acc"):
        monitored("nope", {"val/acc": 0.5})


@pytest.mark.parametrize(
    ("score", "best", "mode", "expected"),
    [
        (0.5, None, "max", True),
        (0.5, 0.5, "max", True),
        (0.4, 0.5, "max", False),
        (0.4, 0.5, "min", True),
        (math.nan, None, "max", False),
    ],
)
def test_equal_scores_are_better_and_nan_never_is(score, best, mode, expected):
    assert is_better(score, best, mode) == expected


def test_a_state_without_a_monitor_is_scored_alike():
    assert is_scored_alike({"best_score": 0.5}, "val/acc", "max")
    assert not is_scored_alike({"monitor": "val/loss", "mode": "min"}, "val/acc", "max")

"""Means, differences and p-values as texts."""

import pytest

from vgg_lit.analysis.significance import summary_of
from vgg_lit.reports.number_texts import (
    are_equal,
    difference_text,
    format_p,
    interval_text,
    mean_text,
)

NOISE = 1e-17
MEANS = ((2.356, 0.1), (2.358, 0.01), (2.371, 0.01))


@pytest.mark.parametrize(
    ("p_value", "text"),
    [
        (None, ""),
        (1e-9, "< 0.001"),
        (0.0012, "0.0012"),
        (0.034, "0.034"),
        (0.04977, "0.0498"),
        (0.5, "0.50"),
    ],
)
def test_p_values_have_two_digits(p_value, text):
    assert format_p(p_value) == text


@pytest.mark.parametrize(
    ("metric", "values", "text"),
    [
        ("val/acc", [-NOISE, -NOISE], "+0.00 points"),
        ("val/acc", [-0.00004, 0.0], "+0.00 points"),
        ("val/acc", [-0.01, -0.01], "-1.00 points"),
        ("val/loss", [-0.14, 0.139], "+0.00"),
        ("val/loss", [0.0], "+0"),
    ],
)
def test_a_difference_that_rounds_to_zero_has_a_plus(metric, values, text):
    assert difference_text(metric, summary_of(values)) == text


def test_an_interval_that_rounds_to_zero_has_no_minus():
    assert interval_text("val/acc", summary_of([-NOISE, -NOISE]), " %") == "0.00 to 0.00 %"


def test_means_are_equal_in_the_digits_of_one_of_them():
    coarse, fine, other = (summary_of([mean - d, mean + d]) for mean, d in MEANS)
    assert [mean_text("val/loss", s) for s in (coarse, fine, other)] == ["2.36", "2.358", "2.371"]
    assert are_equal("val/loss", coarse, fine)
    assert not are_equal("val/loss", fine, other)

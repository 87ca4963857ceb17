"""Statistics of repeated runs agree with scipy."""

import math

import numpy as np
import pytest
from scipy import special, stats

from vgg_lit.analysis.significance import (
    mcnemar,
    paired_difference,
    regularized_beta,
    summary_of,
    t_quantile,
    t_tails,
)

SEEDS = [
    ([0.912, 0.921, 0.903], [0.905, 0.911, 0.9]),
    ([0.912, 0.921], [0.905, 0.911]),
    ([2.31, 2.2, 2.25, 2.41, 2.6], [2.3, 2.25, 2.2, 2.5, 2.4]),
    (np.linspace(0, 1, 40).tolist(), (np.linspace(0, 1, 40) ** 2).tolist()),
]


@pytest.mark.parametrize("values", [first for first, _ in SEEDS])
def test_mean_deviation_and_interval_equal_those_of_scipy(values):
    summary = summary_of(values)
    assert summary.n == len(values)
    assert summary.mean == pytest.approx(np.mean(values), rel=1e-14)
    assert summary.deviation == pytest.approx(np.std(values, ddof=1), rel=1e-12)
    expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert summary.interval == pytest.approx(expected, rel=1e-10)


def test_one_value_has_no_deviation_and_no_interval():
    summary = summary_of([0.5])
    assert (summary.n, summary.mean, summary.deviation, summary.interval) == (1, 0.5, None, None)


@pytest.mark.parametrize("value", [0.1, -0.1, 0.0, 1e-9, 12345.678])
def test_equal_values_have_no_deviation(value):
    for n in (2, 3, 7):
        summary = summary_of([value] * n)
        assert (summary.mean, summary.deviation, summary.half_width) == (value, 0.0, 0.0)


def test_rounding_errors_are_no_difference():
    found = paired_difference([0.1 + 0.2, 0.3], [0.3, 0.1 + 0.2]).difference
    assert (found.mean, found.deviation, found.half_width) == (0.0, 0.0, 0.0)
    assert paired_difference([0.1 + 0.2], [0.3]).difference.mean == 0.0
    assert summary_of([1e-20, 3e-20]).deviation == pytest.approx(2**0.5 * 1e-20)


@pytest.mark.parametrize(("first", "second"), SEEDS)
def test_the_paired_test_equals_that_of_scipy(first, second):
    expected = stats.ttest_rel(first, second)
    found = paired_difference(first, second)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-10)
    assert found.difference.interval == pytest.approx(tuple(expected.confidence_interval()))
    assert paired_difference(second, first).p_value == pytest.approx(found.p_value, rel=1e-10)


def test_few_pairs_are_said_plainly():
    for (n, factor), seeds in zip([(3, "2.5"), (2, "9.0")], SEEDS, strict=False):
        assert paired_difference(*seeds).remark == (
            f"With {n} pairs, p < 0.05 needs a mean difference above {factor} times the standard deviation "
            "of the differences"
        )
    assert paired_difference(*SEEDS[2]).remark == ""


def test_the_least_mean_of_the_remark_is_significant_and_a_smaller_one_is_not():
    spread = np.array([-1.0, 0.0, 1.0])  # with deviation 1
    factor = t_quantile(2) / math.sqrt(3)
    above = paired_difference((spread + 1.01 * factor).tolist(), [0.0] * 3)
    below = paired_difference((spread + 0.99 * factor).tolist(), [0.0] * 3)
    assert above.p_value < 0.05 < below.p_value


def test_there_is_no_test_of_one_pair_or_of_equal_differences():
    one = paired_difference([0.9], [0.8])
    assert one.p_value is None
    assert "One pair is too few" in one.remark
    for second in ([0.9, 0.8], [0.8, 0.7]):
        equal = paired_difference([0.9, 0.8], second)
        assert equal.p_value is None
        assert equal.remark == "All differences are equal, so there is no test"


@pytest.mark.parametrize(
    ("b", "c"), [(0, 0), (1, 0), (3, 3), (8, 2), (2, 8), (0, 12), (100, 131), (4000, 4200)]
)
def test_mcnemar_equals_the_binomial_test_of_scipy(b, c):
    expected = stats.binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
    assert mcnemar(b, c) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("df", [1, 2, 3, 9, 30, 1000])
def test_students_t_equals_that_of_scipy(df):
    assert t_quantile(df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-9)
    assert t_quantile(df, 0.5) == pytest.approx(stats.t.ppf(0.75, df), rel=1e-9)
    for t in (-2.5, 0.0, 0.1, 1.0, 4.0, 30.0):
        assert t_tails(t, df) == pytest.approx(2 * stats.t.sf(abs(t), df), rel=1e-10)


@pytest.mark.parametrize("a", [0.5, 1.0, 7.5, 400.0])
@pytest.mark.parametrize("b", [0.5, 2.0, 60.0])
def test_the_incomplete_beta_function_equals_that_of_scipy(a, b):
    for x in (0.0, 1e-9, 0.1, 0.5, 0.9, 1 - 1e-9, 1.0):
        assert regularized_beta(a, b, x) == pytest.approx(
            special.betainc(a, b, x), rel=1e-9, abs=1e-300
        )

"""Statistics of repeated runs: mean, deviation, interval, paired t-test and McNemar's exact test.

summary_of([0.91, 0.92, 0.90])                  # n, mean, deviation, 95 % interval of the mean
paired_difference([0.91, 0.92], [0.90, 0.90])   # the same of the differences, with the p-value
mcnemar(8, 2)                                   # p-value: images that only one of two networks gets right

The distributions are computed here, so that no further package is needed; the tests compare them with scipy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
FEW = 5
"""Number of pairs below which a t-test finds only large differences."""
ROUNDING = 1e-12
"""Largest rounding error of a deviation or a difference, relative to the values that it is computed from."""


@dataclass(frozen=True)
class Summary:
    """Statistics of a sample.

    Attributes:
        n: number of values.
        mean: their mean.
        deviation: standard deviation of the sample, with n - 1 in the denominator; None for one value.
        half_width: half of the 95 % confidence interval of the mean, by Student's t; None for one value.
    """

    n: int
    mean: float
    deviation: float | None
    half_width: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % confidence interval of the mean; None for one value."""
        if self.half_width is None:
            return None
        return self.mean - self.half_width, self.mean + self.half_width


@dataclass(frozen=True)
class PairedDifference:
    """The mean difference of pairs, with a two-sided paired t-test.

    Attributes:
        difference: statistics of the differences.
        p_value: probability of a mean difference as large or larger if there is none; None if it cannot
            be computed.
        remark: reason for a missing p-value, or a warning of few pairs; empty if there is none.
    """

    difference: Summary
    p_value: float | None
    remark: str = ""


def summary_of(values: Sequence[float], scale: float | None = None) -> Summary:
    """Returns the statistics of at least one finite value; rounding errors are no deviation.

    Args:
        values: the sample.
        scale: largest number that the values are differences of; None: the largest value.
    """
    n = len(values)
    rounding = ROUNDING * (max(map(abs, values)) if scale is None else scale)
    mean = math.fsum(values) / n
    if abs(mean) <= rounding:
        mean = 0.0
    if n == 1:
        return Summary(1, mean, None, None)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    if deviation <= rounding:
        return Summary(n, mean and values[0], 0.0, 0.0)
    return Summary(n, mean, deviation, t_quantile(n - 1) * deviation / math.sqrt(n))


def paired_difference(first: Sequence[float], second: Sequence[float]) -> PairedDifference:
    """Returns the mean of `first - second` over at least one pair, with a two-sided paired t-test."""
    scale = max(map(abs, (*first, *second)))
    difference = summary_of([a - b for a, b in zip(first, second, strict=True)], scale)
    n, deviation = difference.n, difference.deviation
    if deviation is None:
        return PairedDifference(difference, None, "One pair is too few for a test")
    if not deviation:
        return PairedDifference(difference, None, "All differences are equal, so there is no test")
    p_value = t_tails(difference.mean / (deviation / math.sqrt(n)), n - 1)
    remark = ""
    if n < FEW:
        factor = t_quantile(n - 1) / math.sqrt(n)
        remark = (
            f"With {n} pairs, p < 0.05 needs a mean difference above {factor:.1f} times the standard "
            "deviation of the differences"
        )
    return PairedDifference(difference, p_value, remark)


def mcnemar(only_first: int, only_second: int) -> float:
    """Returns the two-sided p-value of McNemar's exact test.

    If two networks are equally good, an image that only one of them gets right is equally likely to be
    one of the first or of the second: a binomial distribution.

    Args:
        only_first: number of images that only the first network gets right.
        only_second: number of images that only the second network gets right.
    """
    n, tail, coefficient = only_first + only_second, 0, 1
    for successes in range(min(only_first, only_second) + 1):
        tail += coefficient
        coefficient = coefficient * (n - successes) // (successes + 1)
    return min(1.0, 2 * tail / 2**n)  # of integers, so the quotient is exact


def t_tails(t: float, df: int) -> float:
    """Returns the probability of a value beyond -t or t of Student's t with `df` degrees of freedom."""
    return regularized_beta(df / 2, 0.5, df / (df + t * t))


def t_quantile(df: int, confidence: float = CONFIDENCE) -> float:
    """Returns the value of Student's t that leaves `1 - confidence` in both tails together."""
    low, high = 0.0, 1.0
    while t_tails(high, df) > 1 - confidence:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        if t_tails(middle, df) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def regularized_beta(a: float, b: float, x: float) -> float:
    """Returns the regularised incomplete beta function I_x(a, b), for a, b > 0 and 0 <= x <= 1.

    Source: Abramowitz & Stegun 1964, 26.5.8: a continued fraction, here evaluated by Lentz's method.
    """
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):  # where the fraction of the complement converges faster
        return 1 - regularized_beta(b, a, 1 - x)
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    logarithm += a * math.log(x) + b * math.log1p(-x)
    fraction, c, d, m = 1.0, 1.0, 0.0, 0
    while True:
        m += 1
        for coefficient in (
            -(a + m - 1) * (a + b + m - 1) * x / ((a + 2 * m - 2) * (a + 2 * m - 1)),
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
        ):
            d = 1 / _nonzero(1 + coefficient * d)
            c = _nonzero(1 + coefficient / c)
            fraction *= c * d
        if abs(c * d - 1) < 1e-15 or m == 100_000:
            return math.exp(logarithm) / (a * fraction)


def _nonzero(value: float) -> float:
    return value or 1e-300

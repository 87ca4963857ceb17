"""Texts of statistics in tables: means with the digits that their deviations allow, differences and p-values.

mean_text("val/acc", summary)               # "91.20 %"
difference_text("val/acc", summary)         # "+0.40 points"
"""

import math

from vgg_lit.analysis.significance import Summary
from vgg_lit.tables import is_accuracy


def format_p(p_value: float | None) -> str:
    """Formats a p-value with two digits, with three if two are 0.05; small ones as a bound."""
    if p_value is None:
        return ""
    if p_value < 0.001:
        return "< 0.001"
    text = f"{p_value:.2g}" if p_value < 0.1 else f"{p_value:.2f}"
    return text if text != "0.05" else f"{p_value:#.3g}"


def format_deviation(metric: str, value: float | None) -> str:
    """Formats a deviation with two digits: that of an accuracy in points, with two decimals."""
    if value is None:
        return ""
    return f"{100 * value:.2f}" if is_accuracy(metric) else f"{value:.{_decimals(value)}f}"


def format_mean(metric: str, value: float, deviation: float | None) -> str:
    """Formats a mean without a unit, with the decimals of its deviation: an accuracy in per cent.

    A mean that rounds to zero has no minus sign.
    """
    if is_accuracy(metric):
        text = f"{100 * value:.2f}"
    else:
        text = f"{value:.4g}" if not deviation else f"{value:.{_decimals(deviation)}f}"
    return text if float(text) else text.removeprefix("-")


def are_equal(metric: str, first: Summary, second: Summary) -> bool:
    """Returns True if two means are equal in the digits of one of them."""
    return any(
        format_mean(metric, first.mean, deviation) == format_mean(metric, second.mean, deviation)
        for deviation in (first.deviation, second.deviation)
    )


def _decimals(deviation: float) -> int:
    """Returns the number of decimals with which a deviation has two digits."""
    return max(0, 1 - math.floor(math.log10(deviation))) if deviation else 0


def mean_text(metric: str, summary: Summary) -> str:
    """Formats a mean with its unit."""
    unit = " %" if is_accuracy(metric) else ""
    return format_mean(metric, summary.mean, summary.deviation) + unit


def deviation_text(metric: str, value: float | None) -> str:
    """Formats the deviation of a mean, with the unit of the mean."""
    unit = " %" if is_accuracy(metric) and value is not None else ""
    return format_deviation(metric, value) + unit


def interval_text(metric: str, summary: Summary, unit: str) -> str:
    """Formats an interval; that of an accuracy has a unit."""
    if summary.interval is None:
        return ""
    ends = " to ".join(format_mean(metric, end, summary.deviation) for end in summary.interval)
    return ends + (unit if is_accuracy(metric) else "")


def difference_text(metric: str, summary: Summary) -> str:
    """Formats a mean difference with its sign and unit; one that rounds to zero is +0.00."""
    text = format_mean(metric, summary.mean, summary.deviation)
    sign = "" if text.startswith("-") else "+"
    return f"{sign}{text}{' points' if is_accuracy(metric) else ''}"

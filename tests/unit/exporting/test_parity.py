"""Exported programs compared with the network: tolerance and measurements."""

import pytest
import torch

from vgg_lit.exporting.parity import TOLERANCE, RuntimeComparison, compare_runtimes


@pytest.mark.parametrize(
    ("difference", "magnitude", "is_equal"),
    [(TOLERANCE, 0.1, True), (2 * TOLERANCE, 0.1, False), (2 * TOLERANCE, 4.0, True)],
)
def test_the_tolerance_is_relative_above_one_and_absolute_below(difference, magnitude, is_equal):
    assert RuntimeComparison(difference, magnitude, milliseconds=1.0).is_equal == is_equal


def test_the_largest_difference_from_the_first_runtime_is_found(monkeypatch):
    monkeypatch.setattr("vgg_lit.exporting.parity.SECONDS", 0.0)
    images = torch.arange(24, dtype=torch.uint8).reshape(2, 3, 2, 2)
    first = lambda x_BCHW: x_BCHW.float().flatten(1)  # noqa: E731
    other = lambda x_BCHW: first(x_BCHW) + torch.eye(2, 12) / 2  # noqa: E731
    found = compare_runtimes({"first": first, "other": other}, images)
    assert found["first"].difference == 0
    assert found["other"].difference == 0.5
    assert found["other"].magnitude == 23
    assert found["other"].milliseconds > 0

"""Numbers that users pass as options of a network."""

import pytest
import torch

from vgg_lit.errors import InputError
from vgg_lit.models.numbers import is_number, positive_int


@pytest.mark.parametrize("value", [1, 2, 10**9])
def test_whole_numbers_from_1_pass(value):
    assert positive_int("channels", value) == value


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "1", None, [1], torch.tensor(1)])
def test_anything_else_is_one_line(value):
    with pytest.raises(InputError, match=r"^channels=.* is not a whole number of at least 1$"):
        positive_int("channels", value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, True), (-1.5, True), (float("nan"), True), (True, False), ("1", False), (None, False)],
)
def test_a_bool_is_not_a_number(value, expected):
    assert is_number(value) == expected

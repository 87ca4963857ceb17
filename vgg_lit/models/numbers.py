"""Checks of numbers that users pass as options of a network."""

from typing import Any

from vgg_lit.errors import InputError


def positive_int(what: str, value: Any) -> int:
    """Returns the value if it is a whole number of at least 1.

    Raises:
        InputError: it is anything else; True does not count as a number.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{what}={value!r} is not a whole number of at least 1")
    return value


def is_number(value: Any) -> bool:
    """Returns True for an int or a float, and False for a bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)

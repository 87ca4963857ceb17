"""Types of settings that both the config schema and checks of stored runs use."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from vgg_lit.errors import InputError

PositiveInt = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true"]
Fit = Literal["crop", "pad", "stretch"]
"""The way in which an image that is not square becomes square, see `vgg_lit.data.fitting.fit_image`."""
Splitting = Literal["stable", "stratified"]
Spec = dict[str, Any]
"""A mapping with a `_target_`; its arguments are checked against the target's signature."""

MAX_SIDE = 2048
"""Largest side of images and of a network's input, pixels: a batch of them still fits a machine."""


def as_written(value: Any) -> str:
    """Formats a value as configs and command lines have it: `null`, `true`, `[1, 2]`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(as_written, value))}]"
    return str(value)


def check_preprocessing(values: Mapping[str, Any]) -> None:
    """Checks the values of a `vgg_lit.data.preprocessing.Preprocessing`, which a checkpoint holds.

    Checkpoints of earlier versions have no `fit`.

    Raises:
        InputError: a value is missing, unknown or impossible.
    """
    try:
        channels, mean, std = values["in_channels"], tuple(values["mean"]), tuple(values["std"])
        sides = (values["source_size"], values["image_size"])
        optional = ("is_known" in values) + ("fit" in values)
        is_sound = len(values) - optional == 5 and channels == len(mean) == len(std) >= 1
        is_sound &= isinstance(values.get("is_known", True), bool)
        is_sound &= all(type(number) is int for number in (channels, *sides))
        is_sound &= all(1 <= side <= MAX_SIDE for side in sides)
        is_sound &= values.get("fit", "crop") in get_args(Fit)
        is_sound &= all(map(math.isfinite, mean + std)) and all(value > 0 for value in std)
    except (TypeError, KeyError, OverflowError):
        is_sound = False
    if not is_sound:
        raise InputError(
            f"preprocessing={str(values)[:200]}: invalid; allowed: sides of 1 to {MAX_SIDE} pixels, a mean "
            f"and a positive std of each channel, and a fit of {', '.join(get_args(Fit))}"
        )

"""Checks of the options of a data module."""

from typing import TYPE_CHECKING, get_args

from vgg_lit.data.preprocessing import Normalization
from vgg_lit.data.sources import Source
from vgg_lit.errors import InputError
from vgg_lit.value_types import Splitting

if TYPE_CHECKING:
    from vgg_lit.data.datamodule import ImageDataModule


def check_options(data: "ImageDataModule") -> None:
    """Checks the ranges of the options of a data module.

    Raises:
        InputError: an option is outside its range.
    """
    if data.normalize not in get_args(Normalization):
        allowed = ", ".join(get_args(Normalization))
        raise InputError(f"normalize={data.normalize}: unknown; allowed: {allowed}")
    if data.splitting not in get_args(Splitting):
        allowed = ", ".join(get_args(Splitting))
        raise InputError(f"splitting={data.splitting}: unknown; allowed: {allowed}")
    if data.image_size < 1:
        raise InputError(f"image_size={data.image_size}: must be at least 1 pixel")
    if data.batch_size < 1:
        raise InputError(f"batch_size={data.batch_size}: must be at least 1 image")
    if not 0 <= data.val_fraction < 1:
        raise InputError(f"val_fraction={data.val_fraction}: must be at least 0 and below 1")
    for option, size in (("train_size", data.train_size), ("test_size", data.test_size)):
        if size is not None and size < 1:
            raise InputError(f"{option}={size}: must be at least 1 image, or null for all")


def check_agreement(source: Source, option: str, given: int | None, actual: int) -> None:
    """Checks that an option, if it is given, has the value of the source.

    Raises:
        InputError: it has another value.
    """
    if given is not None and given != actual:
        raise InputError(f"{option}={given}: does not match {source.name}, which has {actual}")

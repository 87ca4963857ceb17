"""Checks of the options of a data module."""

from typing import TYPE_CHECKING, get_args

from vgg_lit.data.decoding_options import check_fit_name
from vgg_lit.data.preprocessing import Normalization
from vgg_lit.data.sources import Source
from vgg_lit.errors import InputError
from vgg_lit.value_types import Splitting

if TYPE_CHECKING:
    from vgg_lit.data.datamodule import ImageDataModule


def check_options(
    data: "ImageDataModule", num_classes: int | None, in_channels: int | None
) -> None:
    """Checks the ranges of the options of a data module, and that they agree with its source.

    Raises:
        InputError: an option is outside its range, or differs from the source.
    """
    if data.normalize not in get_args(Normalization):
        allowed = ", ".join(get_args(Normalization))
        raise InputError(f"normalize={data.normalize}: unknown; allowed: {allowed}")
    if data.splitting not in get_args(Splitting):
        allowed = ", ".join(get_args(Splitting))
        raise InputError(f"splitting={data.splitting}: unknown; allowed: {allowed}")
    check_fit_name(data.fit)
    if data.image_size < 1:
        raise InputError(f"image_size={data.image_size}: must be at least 1 pixel")
    if data.batch_size < 1:
        raise InputError(f"batch_size={data.batch_size}: must be at least 1 image")
    if not 0 <= data.val_fraction < 1:
        raise InputError(f"val_fraction={data.val_fraction}: must be at least 0 and below 1")
    check_fold(data.fold, data.folds)
    for option, size in (("train_size", data.train_size), ("test_size", data.test_size)):
        if size is not None and size < 1:
            raise InputError(f"{option}={size}: must be at least 1 image, or null for all")
    _check_agreement(data.source, "num_classes", num_classes, len(data.classes))
    channels = data.source.in_channels
    _check_agreement(data.source, "in_channels", in_channels, channels)
    _check_agreement(data.source, "fit", data.fit, getattr(data.source, "fit", data.fit))
    if hasattr(data, "preprocessing"):
        if data.preprocessing.fit != data.fit:
            raise InputError(
                f"fit={data.fit}: the network was trained with {data.preprocessing.fit}"
            )
        _check_agreement(data.source, "in_channels", data.preprocessing.in_channels, channels)


def check_fold(fold: int | None, folds: int | None, section: str = "") -> None:
    """Checks the fold of a cross-validation.

    Args:
        fold: fold to validate on; None: not set.
        folds: number of folds; None: no cross-validation.
        section: prefix of the options in the message.

    Raises:
        InputError: one of the two is missing or outside its range.
    """
    if folds is None and fold is not None:
        raise InputError(
            f"{section}fold={fold}: needs {section}folds, the number of folds, such as 5"
        )
    if folds is None:
        return
    if folds < 2:
        raise InputError(
            f"{section}folds={folds}: must be at least 2, or null for no cross-validation"
        )
    if fold is None:
        raise InputError(
            f"{section}folds={folds}: needs {section}fold, the fold to validate on; allowed: 0 to "
            f"{folds - 1}, or all in a sweep: -m {section}fold={','.join(map(str, range(folds)))}"
        )
    if not 0 <= fold < folds:
        raise InputError(
            f"{section}fold={fold}: allowed for {section}folds={folds}: 0 to {folds - 1}"
        )


def _check_agreement(
    source: Source, option: str, given: int | str | None, actual: int | str
) -> None:
    if given is not None and given != actual:
        raise InputError(f"{option}={given}: does not match {source.name}, which has {actual}")

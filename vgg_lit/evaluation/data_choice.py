"""The split and the shape of the images that are measured, before any image is read."""

from collections.abc import Collection, Mapping, MutableMapping, Sequence
from typing import Any

from vgg_lit.data.preprocessing import Preprocessing
from vgg_lit.data.sources import Source, has_validation
from vgg_lit.errors import ConfigError, InputError
from vgg_lit.evaluation.trained import Trained, has_validation_split


def set_shape(data: MutableMapping[str, Any], shape: Preprocessing, typed: Collection[str]) -> None:
    """Sets size, fit and channels of the images to those of the training.

    Args:
        data: composed `data` group.
        shape: preprocessing of the network.
        typed: keys on the command line.

    Raises:
        ConfigError: another value was typed.
    """
    values = {"image_size": shape.source_size, "fit": shape.fit, "in_channels": shape.in_channels}
    for name, value in values.items():
        if f"data.{name}" in typed and data[name] != value:
            raise ConfigError(
                f"data.{name}={data[name]}: the run was trained with {value}, which every evaluation of it uses; "
                "leave this setting out"
            )
        data[name] = value


def checked_split(
    trained: Sequence[Trained],
    data: Mapping[str, Any],
    source: Source | None,
    asked: str | None,
    is_own_data: bool,
) -> str:
    """Returns the split that is measured, see `choose_split`, after checks of its source and every network.

    Args:
        trained: the networks.
        data: `data` group of the images.
        source: its source; None for a data module of the user.
        asked: the split that the user chose; None: the default.
        is_own_data: True if it is that of the first network's run.

    Raises:
        InputError: there is no such split, or a network cannot be measured on it.
    """
    split = choose_split(asked, source, is_own_data)
    if split == "val":
        check_validation_split(trained, data, source, is_own_data)
    if source is not None:
        for one in trained:
            one.check_source(source)
    return split


def choose_split(asked: str | None, source: Source | None, is_own_data: bool) -> str:
    """Returns "test", "val" or "all": of another folder all images by default, else the test split.

    Raises:
        InputError: "all" is asked of data that are not another folder of images.
    """
    can_be_all = _has_files(source) and not is_own_data
    if asked == "all" and not can_be_all:
        raise InputError("split=all: goes with another folder of images only; allowed: test, val")
    return asked or ("all" if can_be_all else "test")


def check_validation_split(
    trained: Sequence[Trained], data: Mapping[str, Any], source: Source | None, is_own_data: bool
) -> None:
    """Checks that no network was trained on validation images of a data set without files.

    Images with files are compared one by one when they are loaded.

    Args:
        trained: the networks.
        data: `data` group of the images.
        source: its source; None for a data module of the user.
        is_own_data: True if it is that of the first network's run.

    Raises:
        InputError: a `data` group leaves no validation images, or a run has another validation split.
    """
    if not has_validation_split(data):
        raise InputError("split=val: data.val_fraction=0 leaves no validation split; allowed: test")
    if _has_files(source):
        return
    for one in trained[1:] if is_own_data else trained:
        own = one.run.config["data"]
        if is_own_data or (source and _set_name(own) == _set_name(data)):
            one.check_validation(data, source is not None and has_validation(source))
            if _target(own) != _target(data):
                raise InputError(
                    f"split=val: run={one.run.path} was trained on images of this data set; allowed: test"
                )


def _has_files(source: Source | None) -> bool:
    return hasattr(source, "present_images")


def _target(data: Mapping[str, Any]) -> str:
    source = data.get("source")
    return str(source.get("_target_", "")) if isinstance(source, Mapping) else ""


def _set_name(data: Mapping[str, Any]) -> str:
    """Returns the class of the source; the embedded sample is a part of its data set."""
    return _target(data).rpartition(".")[2].removesuffix("Sample")

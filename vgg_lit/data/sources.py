"""The interface of data sets: class names, and verified uint8 images with labels after `prepare`.

To add a data set, write a class with the members of `Source`; no other code has to change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, TypeGuard, runtime_checkable

import torch
from torch import Tensor

from vgg_lit.data.custom_groups import is_custom
from vgg_lit.data.image_files import ImageFiles
from vgg_lit.data.image_records import ImageRecords
from vgg_lit.data.statistics import ChannelStatistics, channel_statistics, pixel_sums
from vgg_lit.errors import ConfigError, InputError
from vgg_lit.system.files import shown_path
from vgg_lit.targets import instantiate
from vgg_lit.value_types import Fit

Split: TypeAlias = Literal["train", "val", "test"]
"""A split as published; "val" only for a source with `has_validation`."""


@dataclass(frozen=True)
class ResidentImages:
    """A split held in memory.

    Attributes:
        images_NCHW: uint8, square.
        labels_N: int64 indices into the source's classes.
        paths: file of each image, relative to the root of the source; None: the images have no files.
        is_decoded: True if another library's decoder made the pixels from files.

    Raises:
        ValueError: the shape or dtype is wrong, or there is not one label per image.
    """

    images_NCHW: Tensor
    labels_N: Tensor
    paths: tuple[str, ...] | None = None
    is_decoded: bool = False

    def __post_init__(self) -> None:
        images, labels = self.images_NCHW, self.labels_N
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[2] != images.shape[3]:
            raise ValueError(
                f"images of {images.dtype} {tuple(images.shape)}: must be uint8 (N, C, H, H)"
            )
        if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"labels of {labels.dtype} {tuple(labels.shape)}: must be int64 ({len(images)},), "
                "one per image"
            )

    @property
    def size(self) -> int:
        """Side of the images, pixels."""
        return self.images_NCHW.shape[-1]

    def statistics(self) -> ChannelStatistics:
        """Returns the statistics of all pixels of the split."""
        return channel_statistics(pixel_sums(self.images_NCHW))


Images: TypeAlias = ResidentImages | ImageFiles | ImageRecords


@runtime_checkable
class Source(Protocol):
    """A data set with an official train and test split.

    Three more members are optional. `has_validation: bool = True` declares an official validation split,
    which `load("val")` returns; otherwise a part of the train split is used. `facts()` returns a
    `dict[str, str]` with lines for the header of a run, after `prepare`. `load_whole`, see `WholeSource`.
    """

    @property
    def name(self) -> str:
        """Name for tables and file names."""

    @property
    def in_channels(self) -> int:
        """1 for grey, 3 for colour."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in label order; cheap, and available before `prepare`."""

    def prepare(self) -> None:
        """Downloads or decodes missing data, before any `load`; the processes of a machine call it in turn."""

    def load(self, split: Split) -> Images:
        """Returns the verified images of a split, always in the same order."""


@runtime_checkable
class WholeSource(Protocol):
    """A source of images that are not all square."""

    fit: Fit

    def load_whole(self, split: Split) -> ImageFiles | ImageRecords:
        """Returns the images of `load`, in the same order, not cropped: their batches are `Rectangles`."""


def has_validation(source: Source) -> bool:
    """Returns True if a source has an official validation split."""
    return bool(getattr(source, "has_validation", False))


def has_whole(source: Any) -> TypeGuard[WholeSource]:
    """Returns True if a source can return whole images, and crops them for the network otherwise."""
    return isinstance(source, WholeSource) and source.fit == "crop"


def build_source(spec: Any) -> Source:
    """Instantiates the data set of `data.source` in a config.

    Raises:
        ConfigError: it does not describe a data set.
    """
    if not isinstance(spec, Mapping):
        raise ConfigError(f"data.source={spec}: must be a mapping with a _target_")
    source = instantiate(spec, key="data.source")
    if not isinstance(source, Source):
        raise ConfigError(f"data.source._target_={spec['_target_']}: does not return a data set")
    return source


def source_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the built source of a `data` group as an argument; none for a data module of the user."""
    return {} if is_custom(spec) else {"source": build_source(spec["source"])}


def build_datamodule(spec: Mapping[str, Any], **arguments: Any) -> Any:
    """Builds the data module of a `data` group.

    Args:
        spec: the group; its `root`, which only other keys refer to, is dropped.
        arguments: replace those of the group.

    Raises:
        ConfigError: an argument is wrong.
    """
    if is_custom(spec):
        from vgg_lit.data.custom_building import adapt

        return adapt({**spec, **arguments})
    given = {name: value for name, value in spec.items() if name != "root"}
    return instantiate(given | arguments, key="data")


def load_checked(source: Source, split: Split) -> Images:
    """Loads the images of a split and checks them against the source's channels and classes.

    Raises:
        InputError: there is no image, the number of channels differs, or a label is out of range.
    """
    images = source.load(split)
    labels_N = images.labels_N
    if not len(labels_N):
        raise InputError(f"{source.name}: has no {split} images")
    channels = (
        images.images_NCHW.shape[1] if isinstance(images, ResidentImages) else images.in_channels
    )
    if channels != source.in_channels:
        raise InputError(
            f"{source.name}: {split} images have {channels} channels, not {source.in_channels}"
        )
    lowest, highest = int(labels_N.min()), int(labels_N.max())
    if lowest < 0 or highest >= len(source.classes):
        raise InputError(
            f"{source.name}: {split} labels are {lowest} to {highest}; allowed for its "
            f"{len(source.classes)} classes: 0 to {len(source.classes) - 1}"
        )
    return images


def image_names(images: Images, positions: Tensor) -> list[str]:
    """Returns the files of images of a split, or the positions if the images have no files."""
    paths = images.paths
    return [shown_path(paths[i]) if paths else str(i) for i in positions.tolist()]

"""What a data set gives: class names at once, and verified uint8 images with labels once prepared.

To add a data set, write a class with the members of `Source`; nothing else needs to know it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from vgg_lit.data.image_files import ImageFiles
from vgg_lit.data.statistics import ChannelStatistics, channel_statistics, pixel_sums
from vgg_lit.errors import ConfigError, InputError
from vgg_lit.targets import instantiate

Split: TypeAlias = Literal["train", "test"]


@dataclass(frozen=True)
class ResidentImages:
    """A split held in memory.

    Attributes:
        images_NCHW: uint8, square.
        labels_N: int64 indices into the source's classes.

    Raises:
        ValueError: another shape or type, or not one label an image.
    """

    images_NCHW: Tensor
    labels_N: Tensor

    def __post_init__(self) -> None:
        images, labels = self.images_NCHW, self.labels_N
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[2] != images.shape[3]:
            raise ValueError(
                f"images of {images.dtype} {tuple(images.shape)}: uint8 (N, C, H, H) is needed"
            )
        if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"labels of {labels.dtype} {tuple(labels.shape)}: int64 ({len(images)},), one an "
                "image, is needed"
            )

    @property
    def size(self) -> int:
        """Side of the images, pixels."""
        return self.images_NCHW.shape[-1]

    def statistics(self) -> ChannelStatistics:
        """Of every pixel of the split."""
        return channel_statistics(pixel_sums(self.images_NCHW))


Images: TypeAlias = ResidentImages | ImageFiles


@runtime_checkable
class Source(Protocol):
    """A data set with an official train and test split."""

    @property
    def name(self) -> str:
        """As tables and file names show it."""

    @property
    def in_channels(self) -> int:
        """1 for grey, 3 for colour."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in label order; cheap, known before `prepare`."""

    def prepare(self) -> None:
        """Download or decode what is missing; one process calls it, before any `load`."""

    def load(self, split: Split) -> Images:
        """The verified images of a split, in an order that never changes."""


def build_source(spec: Any) -> Source:
    """The data set that `data.source` of a config describes.

    Raises:
        ConfigError: it is no description of one.
    """
    if not isinstance(spec, Mapping):
        raise ConfigError(f"data.source={spec}: is no mapping with a _target_")
    source = instantiate(spec, key="data.source")
    if not isinstance(source, Source):
        raise ConfigError(f"data.source._target_={spec['_target_']}: makes no data set")
    return source


def build_datamodule(spec: Mapping[str, Any], **arguments: Any) -> Any:
    """Builds the data module of a `data` group.

    Args:
        spec: the group; its `root`, which only other keys refer to, is dropped.
        arguments: replace those of the group.

    Raises:
        ConfigError: an argument is wrong.
    """
    given = {name: value for name, value in spec.items() if name != "root"}
    return instantiate(given | arguments, key="data")


def load_checked(source: Source, split: Split) -> Images:
    """The images of a split, and that they are what the source says of itself.

    Raises:
        InputError: no image, another number of channels, or a label that is none of its classes.
    """
    images = source.load(split)
    labels_N = images.labels_N
    if not len(labels_N):
        raise InputError(f"{source.name}: no {split} image")
    channels = (
        images.images_NCHW.shape[1] if isinstance(images, ResidentImages) else images.in_channels
    )
    if channels != source.in_channels:
        raise InputError(
            f"{source.name}: {split} images of {channels} channels, not {source.in_channels}"
        )
    lowest, highest = int(labels_N.min()), int(labels_N.max())
    if lowest < 0 or highest >= len(source.classes):
        raise InputError(
            f"{source.name}: {split} labels from {lowest} to {highest}; its {len(source.classes)} "
            f"classes are 0 to {len(source.classes) - 1}"
        )
    return images

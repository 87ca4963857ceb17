"""What a data set gives: class names at once, and verified uint8 images with labels once prepared.

To add a data set, write a class with the members of `Source`; nothing else needs to know it.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from vgg_lit.data.image_files import ImageFiles
from vgg_lit.data.statistics import ChannelStatistics, channel_statistics, pixel_sums

Split: TypeAlias = Literal["train", "test"]


@dataclass(frozen=True)
class ResidentImages:
    """A split held in memory.

    Attributes:
        images_NCHW: uint8, square.
        labels_N: int64 indices into the source's classes.
    """

    images_NCHW: Tensor
    labels_N: Tensor

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

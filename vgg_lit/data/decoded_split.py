"""A split whose images are decoded: once into the cache, or once for the statistics of its pixels.

class Photos(DecodedSplit): ...            # with _in_order and _fingerprint
Photos().decoded(), Photos().statistics()

for images in read_in_order(1000, loader, "Decoding"):     # loader(batches) returns a DataLoader
    ...
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from rich.markup import escape
from torch import Tensor

from vgg_lit.data import image_cache
from vgg_lit.data.statistics import ChannelStatistics, channel_statistics, total_pixel_sums
from vgg_lit.system.progress_bars import progress_bar

_BATCH = 256  # images per worker task when a whole split is read
_BAR_FROM = 5_000  # number of images that shows a progress bar: decoding fewer takes seconds

Part = TypeVar("Part")


class DecodedSplit(ABC):
    """Images of a split with their entry in the cache; the base of dataclasses with these attributes.

    Attributes:
        labels_N: int64 label of each image.
        in_channels: number of channels after decoding.
        size: side after decoding, pixels.
        cache: `.npy` file of the decoded images; statistics are stored next to it.
    """

    labels_N: Tensor
    in_channels: int
    size: int
    cache: Path

    def decoded(self) -> Tensor:
        """Returns all images (N, C, H, W) from the cache; builds the cache if missing or stale.

        Raises:
            InputError: an image cannot be read, or the cache cannot be written.
        """
        shape = (len(self.labels_N), self.in_channels, self.size, self.size)
        return torch.from_numpy(
            image_cache.cached_array(self.cache, self._fingerprint(), shape, self._decode)
        )

    def statistics(self) -> ChannelStatistics:
        """Returns the statistics of all pixels of the split; computed once and then cached.

        Raises:
            InputError: an image cannot be read, or the cache cannot be written.
        """
        return channel_statistics(
            image_cache.cached_sums(self.cache, self._fingerprint(), self._sum_pixels)
        )

    @abstractmethod
    def _in_order(self, description: str) -> Iterator[Tensor]:
        """Yields the whole split in batches, with a progress bar for large splits."""

    @abstractmethod
    def _fingerprint(self) -> str:
        """Returns a hash of the images and of their decoding."""

    def _sum_pixels(self) -> np.ndarray:
        return total_pixel_sums(self._in_order("Summing up pixels"), self.in_channels)

    def _decode(self) -> Iterator[np.ndarray]:
        for images in self._in_order("Decoding images"):
            yield images.numpy()


def read_in_order(
    count: int, read: Callable[[Sequence[Sequence[int]]], Iterable[Part]], description: str
) -> Iterator[Part]:
    """Yields all images of a split in batches, with a progress bar for large splits.

    Args:
        count: number of images.
        read: returns the batches of lists of positions.
        description: text of the progress bar.
    """
    positions = range(count)
    batches = [positions[start : start + _BATCH] for start in range(0, count, _BATCH)]
    with progress_bar(is_wanted=count >= _BAR_FROM) as progress:
        task = progress.add_task(escape(description), total=count)
        for chosen, batch in zip(batches, read(batches), strict=True):
            yield batch
            progress.advance(task, len(chosen))

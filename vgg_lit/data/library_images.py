"""The base of sources that read the data sets of another library: decoding, caching and splits."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vgg_lit.data.decoding_options import checked_workers
from vgg_lit.data.fitting import named_fit
from vgg_lit.data.image_records import ImageRecords, Records, cache_file
from vgg_lit.data.sources import Images, ResidentImages
from vgg_lit.data.splits import TEST_SEED, stratified_subset
from vgg_lit.errors import InputError
from vgg_lit.value_types import Fit


class Part(NamedTuple):
    """A split of the library.

    Attributes:
        records: images by position.
        labels_N: int64 labels.
        version: text that changes if the images change.
    """

    records: Records
    labels_N: Tensor
    version: str


class LibraryImages(ABC):
    """Images of another library, decoded to one size.

    A data set without a test split gets one: a stratified part of its training images, which does
    not depend on the run's seed.

    Args:
        in_channels: 1 for grey, 3 for colour; images are converted.
        size: side in pixels that images are fitted to.
        in_memory: True decodes once into a cache and holds all images in memory; False decodes
            during training.
        num_workers: number of decoding processes; None uses the available cores, at most 8.
        test_fraction: share of the images held out for testing if there is no test split.
        fit: "crop", "pad" or "stretch", see `vgg_lit.data.fitting.fit_image`.
    """

    name: str

    def __init__(
        self,
        in_channels: int = 3,
        size: int = 32,
        in_memory: bool = True,
        num_workers: int | None = None,
        test_fraction: float = 0.2,
        fit: Fit = "crop",
    ) -> None:
        workers = checked_workers(in_channels, size, num_workers, test_fraction, fit)
        self.in_channels = in_channels
        self.size = size
        self.in_memory = in_memory
        self.num_workers = workers
        self.test_fraction = test_fraction
        self.fit = fit

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Class names, in label order; opens the data set."""

    @abstractmethod
    def _open(self) -> dict[str, Part]:
        """Opens the data set; returns its splits: `train`, and `val` and `test` if it has them."""

    @property
    def has_validation(self) -> bool:
        """True if the data set has a validation split in addition to a test split."""
        return "val" in self._parts

    def prepare(self) -> None:
        """Decodes into the cache, or computes the statistics for normalisation."""
        if not self.in_memory:
            self._images("train").statistics()
            return
        for split in self._parts:
            self._images(split).decoded()

    def load(self, split: str) -> Images:
        """Returns the images of a split, in the library's order; "val" only if `has_validation`.

        Raises:
            InputError: an image cannot be read.
        """
        images = self._images(split)
        if not self.in_memory:
            return images
        return ResidentImages(images.decoded(), images.labels_N, is_decoded=True)

    def load_whole(self, split: str) -> ImageRecords:
        """Returns the images of `load`, not cropped; they are decoded when they are read."""
        return replace(self._images(split), fit="whole")

    @cached_property
    def _parts(self) -> dict[str, Part]:
        parts = self._open()
        return parts if "test" in parts else {**parts, **self._hold_out(parts["train"])}

    def _images(self, split: str) -> ImageRecords:
        part = self._parts[split]
        described = f"{self.name} {split}|{self.in_channels}|{self.size}|{self._location()}{named_fit(self.fit)}"
        return ImageRecords(
            f"{self.name}, {split}",
            part.records,
            part.labels_N,
            self.in_channels,
            self.size,
            self.num_workers,
            cache_file(described),
            part.version,
            self.fit,
        )

    def _location(self) -> str:
        """Returns text that identifies the data set on this machine."""
        return ""

    def _hold_out(self, part: Part) -> dict[str, Part]:
        labels_N = part.labels_N
        ids_N = torch.arange(len(labels_N))
        size = round(self.test_fraction * len(ids_N))
        if not 0 < size < len(ids_N):
            raise InputError(
                f"test_fraction={self.test_fraction}: {size} of {len(ids_N)} images are for testing;"
                " training and testing need at least one image each"
            )
        if int(labels_N.min()) < 0:
            raise InputError(f"{self.name}: has labels below 0, which mark unlabelled images")
        in_test_N = stratified_subset(labels_N, ids_N, size, TEST_SEED, "test split")
        return {"train": _subset(part, ~in_test_N), "test": _subset(part, in_test_N)}


class Positions:
    """Records at some positions of others.

    Args:
        records: all records.
        positions: positions in `records`, in the order of the subset.
    """

    def __init__(self, records: Records, positions: Sequence[int]) -> None:
        self.records, self.positions = records, positions

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, position: int) -> Any:
        return self.records[self.positions[position]]


def _subset(part: Part, chosen_N: Tensor) -> Part:
    positions = chosen_N.nonzero().flatten().tolist()
    return Part(Positions(part.records, positions), part.labels_N[chosen_N], part.version)

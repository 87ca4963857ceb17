"""A split of another library's data set: streamed by worker processes, or decoded once and cached."""

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vgg_lit.data import image_cache
from vgg_lit.data.decoded_split import DecodedSplit, read_in_order
from vgg_lit.data.decoding_loader import checked, decoding_loader
from vgg_lit.data.fitting import Shape, named_fit
from vgg_lit.data.image_formats import FORMATS
from vgg_lit.data.images import DAMAGE, MAX_MEGAPIXELS, decode_image, unreadable
from vgg_lit.data.rectangles import Rectangles, collate
from vgg_lit.errors import InputError, one_line

_DECODING = 2  # version of the decoding: part of the fingerprint
_FORMATS = (*FORMATS, "PPM")
_DAMAGE = (*DAMAGE, LookupError, RuntimeError, ImportError, MemoryError)


class Records(Protocol):
    """Access to the images of a split by position; picklable, for worker processes."""

    def __len__(self) -> int:
        """Returns the number of images."""

    def __getitem__(self, position: int) -> Any:
        """Returns an image: a PIL image, a uint8 array (H, W) or (H, W, 3), or an encoded file as bytes."""


@dataclass(frozen=True)
class ImageRecords(DecodedSplit):
    """Images of another library with labels and decoding options.

    Attributes:
        name: name of the data set and split, for messages.
        records: images by position.
        labels_N: int64 indices into the source's classes.
        in_channels: number of channels after decoding.
        size: side after decoding, pixels.
        num_workers: number of decoding processes; 0 decodes in the main process.
        cache: `.npy` file of the decoded images; statistics are stored next to it.
        version: text that changes if the images change.
        fit: way to a square, see `vgg_lit.data.fitting.fit_image`; batches of "whole" are Rectangles.
    """

    name: str
    records: Records
    labels_N: Tensor
    in_channels: int
    size: int
    num_workers: int
    cache: Path
    version: str
    fit: Shape = "crop"

    @property
    def paths(self) -> None:
        """None: the images have no files."""
        return None

    def loader(self, batches: Sequence[Sequence[int]], pin_memory: bool = False) -> DataLoader:
        """Returns a loader that decodes `batches` (lists of positions), reread on each iteration."""
        decoder = _Decoder(self.name, self.records, self.in_channels, self.size, self.fit)
        return decoding_loader(decoder, batches, self.num_workers, pin_memory)

    def _in_order(self, description: str) -> Iterator[Tensor]:
        return read_in_order(
            len(self.labels_N),
            lambda batches: checked(self.loader(batches)),
            f"{description} of {self.name}",
        )

    def _fingerprint(self) -> str:
        described = f"{_DECODING}|{self.in_channels}|{self.size}|{self.name}|{self.version}|"
        described += named_fit(self.fit)
        return hashlib.sha256(described.encode() + self.labels_N.numpy().tobytes()).hexdigest()


def cache_file(described: str) -> Path:
    """Returns the cache file of a split; `described` names the data set, the split and the size."""
    key = hashlib.sha256(described.encode()).hexdigest()[:16]
    name = "".join(c if c.isalnum() else "_" for c in described.partition("|")[0])
    end = os.fsencode(name)[-40:].decode(
        "utf-8", "ignore"
    )  # so that `files.KEPT` bytes have the key
    return image_cache.cache_folder() / f"{end}-{key}.npy"


def decode(record: Any, in_channels: int, size: int, fit: Shape = "crop") -> Tensor:
    """Returns an image as uint8 (in_channels, size, size), converted and checked as `read_image` does.

    Raises:
        InputError: it is not an image, is larger than `MAX_MEGAPIXELS`, or is damaged.
    """
    try:
        if isinstance(record, bytes):
            record = io.BytesIO(record)
        elif not isinstance(record, Image.Image):
            record = Image.fromarray(np.asarray(record))
        return decode_image(record, in_channels, size, MAX_MEGAPIXELS, fit, _FORMATS)
    except InputError:
        raise
    except _DAMAGE as error:
        raise unreadable(error) from None


class _Decoder(Dataset):
    """The dataset in a worker process: the records and decoding options."""

    def __init__(
        self, name: str, records: Records, in_channels: int, size: int, fit: Shape
    ) -> None:
        self.name, self.records = name, records
        self.in_channels, self.size, self.fit = in_channels, size, fit

    def __getitems__(self, positions: Sequence[int]) -> Tensor | Rectangles | InputError:
        try:
            images = [self[position] for position in positions]
            return collate(images) if self.fit == "whole" else torch.stack(images)
        except InputError as error:
            return error  # the DataLoader would wrap an error raised in a worker in a traceback

    def __getitem__(self, position: int) -> Tensor:
        try:
            record = self.records[position]
        except (*_DAMAGE, Image.DecompressionBombError) as error:
            raise InputError(
                f"{self.name}: image {position} cannot be read ({one_line(error)})"
            ) from None
        try:
            return decode(record, self.in_channels, self.size, self.fit)
        except InputError as error:
            raise InputError(f"{self.name}: image {position}: {error}") from None

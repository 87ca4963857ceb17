"""A split stored as image files: streamed by worker processes, or decoded once and cached."""

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vgg_lit.data import image_cache
from vgg_lit.data.damaged_images import DamagedImages
from vgg_lit.data.decoded_split import DecodedSplit, read_in_order
from vgg_lit.data.decoding_loader import IncompleteBatch, decoded_batches, decoding_loader
from vgg_lit.data.file_digests import FileDigest, FileDigests, read_digest, read_stamp
from vgg_lit.data.fitting import Shape, named_fit
from vgg_lit.data.images import MAX_MEGAPIXELS, read_image
from vgg_lit.data.rectangles import Rectangles, collate
from vgg_lit.errors import InputError
from vgg_lit.system.files import shown_path

_DECODING = 3  # version of the decoding from file to pixels: part of the fingerprint


@dataclass(frozen=True)
class ImageFiles(DecodedSplit):
    """Image files with labels and decoding options; damaged files raise DamagedImages, which names them.

    Attributes:
        root: folder that `paths` are relative to.
        paths: paths relative to `root`, with forward slashes.
        labels_N: int64 indices into the source's classes.
        in_channels: number of channels after decoding.
        size: side after decoding, pixels.
        num_workers: number of decoding processes, capped at the number of cores; 0 decodes in the
            main process.
        cache: `.npy` file of the decoded images; statistics and damage are stored next to it.
        max_megapixels: larger images are damaged.
        fit: way to a square, see `vgg_lit.data.fitting.fit_image`; batches of "whole" are Rectangles.
        stamps: sizes and times of the files when they were last compared with the cache.
    """

    root: Path
    paths: tuple[str, ...]
    labels_N: Tensor
    in_channels: int
    size: int
    num_workers: int
    cache: Path
    max_megapixels: float = MAX_MEGAPIXELS
    fit: Shape = "crop"
    stamps: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    def loader(self, batches: Sequence[Sequence[int]], pin_memory: bool = False) -> DataLoader:
        """Returns a loader that decodes `batches` (lists of positions), reread on each iteration."""
        return decoding_loader(self._decoder(), batches, self.num_workers, pin_memory)

    def without(self, damaged: Collection[str]) -> "ImageFiles":
        """Returns the files without the paths in `damaged`."""
        if not damaged:
            return self
        kept = [i for i, path in enumerate(self.paths) if path not in damaged]
        paths = tuple(self.paths[i] for i in kept)
        return replace(self, paths=paths, labels_N=self.labels_N[kept], stamps={})

    def read_damage(self) -> dict[str, str] | None:
        """Returns the reasons of `write_damage` by path; None if they are unknown or out of date.

        Files that were unreadable only for a moment are found by reading the damaged ones again.
        """
        record = image_cache.read_record(self._damage_file, self._fingerprint())
        damaged = record.get("damaged") if record else None
        if not isinstance(damaged, dict) or not set(damaged) <= set(self.paths):
            return None
        decoder = self._decoder()
        for path in damaged:
            try:
                decoder[self.paths.index(path)]
            except InputError:
                continue
            return None
        return {path: str(reason) for path, reason in damaged.items()}

    def write_damage(self, reasons: Mapping[str, str]) -> None:
        """Stores the damaged files in the cache, so that they are not searched again."""
        with image_cache.locked(self.cache):
            record = {"damaged": dict(reasons)}
            image_cache.write_record(self._damage_file, self._fingerprint(), record)

    def contents(self, digests: FileDigests) -> list[tuple[str, int, str]]:
        """Returns the values of the FileDigest of each file; decoding the files has stored them in `digests`."""
        return digests.of(self.paths, self.stamps)

    @property
    def _damage_file(self) -> Path:
        return self.cache.with_suffix(".damaged.json")

    def _decoder(self, has_digests: bool = False) -> "_Decoder":
        settings = self.in_channels, self.size, self.max_megapixels, self.fit
        return _Decoder(self.root, self.paths, *settings, has_digests)

    def _in_order(self, description: str) -> Iterator[Tensor]:
        """Yields the whole split in batches, with a progress bar for large splits; stores the digests.

        Raises:
            DamagedImages: at the end, if any file is damaged; its pixels are 0.
        """
        reasons: dict[str, str] = {}
        digests: dict[str, FileDigest] = {}
        decoder = self._decoder(has_digests=True)
        for batch, found in read_in_order(
            len(self.paths),
            lambda batches: decoded_batches(decoding_loader(decoder, batches, self.num_workers)),
            f"{description} of {shown_path(self.root)}",
        ):
            images = batch
            if isinstance(batch, IncompleteBatch):
                images = batch.images
                reasons |= {self.paths[i]: reason for i, reason in batch.reasons.items()}
            digests |= {self.paths[i]: digest for i, digest in found.items()}
            yield images
        FileDigests(self.root).add(digests)
        if reasons:
            raise DamagedImages(self.root, reasons, len(self.paths))

    def _fingerprint(self) -> str:
        """Returns a hash of the decoding and of all files' names, sizes and times."""
        settings = f"{_DECODING} {self.in_channels} {self.size} {self.max_megapixels}"
        settings += named_fit(self.fit)
        digest = hashlib.sha256(settings.encode())
        root = os.fspath(self.root)
        for path in self.paths:
            stamp = self.stamps[path] = read_stamp(f"{root}/{path}")
            digest.update(b"\0" + os.fsencode(path) + f"\0{stamp}".encode())
        return digest.hexdigest()


class _Decoder(Dataset):
    """The dataset in a worker process: file names and decoding options."""

    def __init__(
        self,
        root: Path,
        paths: tuple[str, ...],
        in_channels: int,
        size: int,
        max_megapixels: float,
        fit: Shape,
        has_digests: bool,
    ) -> None:
        self.root, self.paths = root, paths
        self.in_channels, self.size = in_channels, size
        self.max_megapixels, self.fit = max_megapixels, fit
        self.has_digests = has_digests

    def __getitems__(self, positions: Sequence[int]) -> Any:
        images = self._decode(positions)
        if not self.has_digests:
            return images
        damaged = images.reasons if isinstance(images, IncompleteBatch) else {}
        sound = [position for position in positions if position not in damaged]
        # the files have just been decoded, so that they are in memory
        return images, {i: read_digest(f"{self.root}/{self.paths[i]}") for i in sound}

    def _decode(self, positions: Sequence[int]) -> Tensor | Rectangles | IncompleteBatch:
        shape = (self.in_channels, self.size, self.size)
        images = [torch.zeros(shape, dtype=torch.uint8)] * len(positions)
        # returned, not raised: the DataLoader would wrap an error of a worker in a traceback
        messages: dict[int, str] = {}
        reasons: dict[int, str] = {}
        for row, position in enumerate(positions):
            try:
                images[row] = self[position]
            except InputError as error:
                messages[position] = str(error)
                name = shown_path(self.root / self.paths[position])
                reasons[position] = str(error).removeprefix(f"{name}: ")
        if messages:
            return IncompleteBatch(torch.stack(images), messages, reasons)
        return collate(images) if self.fit == "whole" else torch.stack(images)

    def __getitem__(self, position: int) -> Tensor:
        path = f"{self.root}/{self.paths[position]}"
        return read_image(path, self.in_channels, self.size, self.max_megapixels, self.fit)

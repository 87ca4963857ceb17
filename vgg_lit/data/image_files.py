"""A split stored as image files: streamed by worker processes, or decoded once and cached."""

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vgg_lit.data import image_cache
from vgg_lit.data.images import MAX_MEGAPIXELS, read_image
from vgg_lit.data.statistics import ChannelStatistics, channel_statistics, pixel_sums
from vgg_lit.errors import InputError
from vgg_lit.system.files import shown_path
from vgg_lit.system.hardware import count_cores

_DECODING = 3  # version of the decoding from file to pixels: part of the fingerprint
_BATCH = 256  # files per worker task when a whole split is read
_BAR_FROM = 5_000  # number of files that shows a progress bar: decoding fewer takes seconds
_NAMED = 20  # damaged files that a message names


class DamagedImages(InputError):
    """Damaged files of a folder.

    Args:
        root: the folder.
        reasons: the problem of each damaged file, by path relative to `root`.
        total: number of files that were read, damaged or not.
    """

    def __init__(self, root: Path, reasons: Mapping[str, str], total: int) -> None:
        self.reasons = dict(reasons)
        first = sorted(reasons)[:_NAMED]
        named = ", ".join(f"{shown_path(path)} ({reasons[path]})" for path in first)
        more = f" and {len(reasons) - len(first):,} more" if len(reasons) > len(first) else ""
        super().__init__(
            f"data.root={shown_path(root)}: {len(reasons):,} of {total:,} images cannot be used: {named}"
            f"{more}; repair or remove them, or leave them out with data.source.damaged=skip"
        )


@dataclass(frozen=True)
class ImageFiles:
    """Image files with labels and decoding options.

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
    """

    root: Path
    paths: tuple[str, ...]
    labels_N: Tensor
    in_channels: int
    size: int
    num_workers: int
    cache: Path
    max_megapixels: float = MAX_MEGAPIXELS

    def loader(self, batches: Sequence[Sequence[int]], pin_memory: bool = False) -> DataLoader:
        """Returns a loader that decodes `batches` (lists of positions), reread on each iteration."""
        return decoding_loader(self._decoder(), batches, self.num_workers, pin_memory)

    def decoded(self) -> Tensor:
        """Returns all images (N, C, H, W) from the cache; builds the cache if missing or stale.

        Raises:
            DamagedImages: files cannot be read; the message names them.
            InputError: the cache cannot be written.
        """
        shape = (len(self.paths), self.in_channels, self.size, self.size)
        return torch.from_numpy(
            image_cache.cached_array(self.cache, self._fingerprint(), shape, self._decode_into)
        )

    def statistics(self) -> ChannelStatistics:
        """Returns the statistics of all pixels of the split; computed once and then cached.

        Raises:
            DamagedImages: files cannot be read; the message names them.
        """
        return channel_statistics(
            image_cache.cached_sums(self.cache, self._fingerprint(), self._sum_pixels)
        )

    def without(self, damaged: Collection[str]) -> "ImageFiles":
        """Returns the files without the paths in `damaged`."""
        if not damaged:
            return self
        kept = [i for i, path in enumerate(self.paths) if path not in damaged]
        paths = tuple(self.paths[i] for i in kept)
        return replace(self, paths=paths, labels_N=self.labels_N[kept])

    def read_damage(self) -> dict[str, str] | None:
        """Returns the reasons of `write_damage` by path; None if they are unknown or out of date.

        Files that were unreadable only for a moment are found by reading the damaged ones again.
        """
        record = image_cache.read_record(self._damage_file, self._fingerprint())
        if record is None:
            return None
        decoder = self._decoder()
        for path in record["damaged"]:
            try:
                decoder[self.paths.index(path)]
            except InputError:
                continue
            return None
        return dict(record["damaged"])

    def write_damage(self, reasons: Mapping[str, str]) -> None:
        """Stores the damaged files in the cache, so that they are not searched again."""
        with image_cache.locked(self.cache):
            record = {"damaged": dict(reasons)}
            image_cache.write_record(self._damage_file, self._fingerprint(), record)

    @property
    def _damage_file(self) -> Path:
        return self.cache.with_suffix(".damaged.json")

    def _decoder(self) -> "_Decoder":
        return _Decoder(self.root, self.paths, self.in_channels, self.size, self.max_megapixels)

    def _sum_pixels(self) -> np.ndarray:
        sums = np.zeros((1 + self.in_channels, 1 + self.in_channels), np.int64)
        for images in self._in_order("Summing up pixels"):
            sums += pixel_sums(images)
        return sums

    def _decode_into(self, array: np.ndarray) -> None:
        start = 0
        for images in self._in_order("Decoding images"):
            array[start : start + len(images)] = images.numpy()
            start += len(images)

    def _in_order(self, description: str) -> Iterator[Tensor]:
        """Yields the whole split in batches, with a progress bar for large splits.

        Raises:
            DamagedImages: at the end, if any file is damaged; its pixels are 0.
        """
        positions = range(len(self.paths))
        batches = [positions[i : i + _BATCH] for i in range(0, len(positions), _BATCH)]
        quick = len(positions) < _BAR_FROM
        reasons: dict[str, str] = {}
        with Progress(console=Console(stderr=True), transient=True, disable=quick) as progress:
            task = progress.add_task(
                f"{description} of {shown_path(self.root)}", total=len(positions)
            )
            for batch in self.loader(batches):
                images = batch
                if isinstance(batch, _Incomplete):
                    images = batch.images
                    reasons |= {self.paths[i]: reason for i, reason in batch.reasons.items()}
                yield images
                progress.advance(task, len(images))
        if reasons:
            raise DamagedImages(self.root, reasons, len(self.paths))

    def _fingerprint(self) -> str:
        """Returns a hash of the decoding and of all files' names, sizes and modification times."""
        settings = f"{_DECODING} {self.in_channels} {self.size} {self.max_megapixels}"
        digest = hashlib.sha256(settings.encode())
        root = os.fspath(self.root)
        for path in self.paths:
            try:
                status = os.stat(f"{root}/{path}")
                state = f"{status.st_size}\0{status.st_mtime_ns}"
            except OSError:  # a dangling link, or a file just deleted: damaged
                state = "absent"
            digest.update(b"\0" + os.fsencode(path) + f"\0{state}".encode())
        return digest.hexdigest()


def checked_workers(
    in_channels: int, size: int, num_workers: int | None, test_fraction: float
) -> int:
    """Checks the settings that folders and library data sets share; returns the number of workers.

    Raises:
        InputError: a value is out of range.
    """
    if in_channels not in (1, 3):
        raise InputError(f"in_channels={in_channels}: must be 1 (grey) or 3 (colour)")
    if size < 1:
        raise InputError(f"size={size}: must be at least 1 pixel")
    if num_workers is not None and num_workers < 0:
        raise InputError(
            f"num_workers={num_workers}: must be 0 or more, or null for the available cores"
        )
    if not 0 < test_fraction < 1:
        raise InputError(f"test_fraction={test_fraction}: must be above 0 and below 1")
    return min(8, count_cores()) if num_workers is None else num_workers


def decoding_loader(
    decoder: Dataset, batches: Sequence[Sequence[int]], num_workers: int, pin_memory: bool = False
) -> DataLoader:
    """Returns a loader of the batches that `decoder.__getitems__` returns, or of its InputErrors."""
    num_workers = min(num_workers, count_cores())  # torch warns above the number of cores
    return DataLoader(
        decoder,
        batch_sampler=batches,  # type: ignore[arg-type]  # any re-iterable of index lists works
        num_workers=num_workers,
        collate_fn=_as_is,
        persistent_workers=num_workers > 0,
        pin_memory=pin_memory,
        worker_init_fn=_leave_process_group if num_workers else None,
    )


def checked(loader: DataLoader) -> Iterator[Tensor]:
    """Yields the decoded batches of a `decoding_loader`.

    Raises:
        InputError: an image is damaged; the message names it.
    """
    for images in loader:
        if isinstance(images, InputError):
            raise images
        if isinstance(images, _Incomplete):
            raise InputError(next(iter(images.messages.values())))
        yield images


@dataclass(frozen=True)
class _Incomplete:
    """A batch with damaged images.

    Attributes:
        images: the batch; 0 for damaged images.
        messages: messages by position in the split, each with the path of the file.
        reasons: the same messages without the path.
    """

    images: Tensor
    messages: Mapping[int, str]
    reasons: Mapping[int, str]


class _Decoder(Dataset):
    """The dataset in a worker process: file names and decoding options."""

    def __init__(
        self,
        root: Path,
        paths: tuple[str, ...],
        in_channels: int,
        size: int,
        max_megapixels: float,
    ) -> None:
        self.root, self.paths = root, paths
        self.in_channels, self.size, self.max_megapixels = in_channels, size, max_megapixels

    def __getitems__(self, positions: Sequence[int]) -> Tensor | _Incomplete:
        images = torch.zeros(
            (len(positions), self.in_channels, self.size, self.size), dtype=torch.uint8
        )
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
        return _Incomplete(images, messages, reasons) if messages else images

    def __getitem__(self, position: int) -> Tensor:
        path = self.root / self.paths[position]
        return read_image(path, self.in_channels, self.size, self.max_megapixels)


def _leave_process_group(worker: int) -> None:
    """Shields workers from group signals: the run needs them until its last step is saved."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()


def _as_is(batch: Any) -> Any:
    return batch

"""A split stored as image files: streamed by worker processes, or decoded once and cached."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vgg_lit.data import image_cache
from vgg_lit.data.images import read_image
from vgg_lit.data.statistics import ChannelStatistics, channel_statistics, pixel_sums
from vgg_lit.errors import InputError
from vgg_lit.system.hardware import count_cores

_DECODING = 2  # version of the decoding from file to pixels: part of the fingerprint
_BATCH = 256  # files per worker task when a whole split is read
_BAR_FROM = 5_000  # number of files that shows a progress bar: decoding fewer takes seconds


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
        cache: `.npy` file of the decoded images; statistics are stored next to it.
    """

    root: Path
    paths: tuple[str, ...]
    labels_N: Tensor
    in_channels: int
    size: int
    num_workers: int
    cache: Path

    def loader(self, batches: Sequence[Sequence[int]], pin_memory: bool = False) -> DataLoader:
        """Returns a loader that decodes `batches` (lists of positions), reread on each iteration."""
        decoder = _Decoder(self.root, self.paths, self.in_channels, self.size)
        return decoding_loader(decoder, batches, self.num_workers, pin_memory)

    def decoded(self) -> Tensor:
        """Returns all images (N, C, H, W) from the cache; builds the cache if missing or stale.

        Raises:
            InputError: a file cannot be read, or the cache cannot be written.
        """
        fingerprint = self._fingerprint()
        array = image_cache.read_array(self.cache, fingerprint)
        if array is None:
            shape = (len(self.paths), self.in_channels, self.size, self.size)
            image_cache.write_array(self.cache, fingerprint, shape, self._decode_into)
            array = image_cache.read_array(self.cache, fingerprint)
        if array is None:
            raise InputError(f"{self.cache}: reads back differently than written; check the disk")
        return torch.from_numpy(array)

    def statistics(self) -> ChannelStatistics:
        """Returns the statistics of all pixels of the split; computed once and then cached."""
        path, fingerprint = self.cache.with_suffix(".sums.json"), self._fingerprint()
        record = image_cache.read_record(path, fingerprint)
        if record is None:
            sums = np.zeros((1 + self.in_channels, 1 + self.in_channels), np.int64)
            for images in self._in_order("Summing up pixels"):
                sums += pixel_sums(images)
            record = {"sums": sums.tolist()}
            image_cache.write_record(path, fingerprint, record)
        return channel_statistics(np.array(record["sums"]))

    def _decode_into(self, array: np.ndarray) -> None:
        start = 0
        for images in self._in_order("Decoding images"):
            array[start : start + len(images)] = images.numpy()
            start += len(images)

    def _in_order(self, description: str) -> Iterator[Tensor]:
        """Yields the whole split in batches, with a progress bar for large splits."""
        positions = range(len(self.paths))
        batches = [positions[i : i + _BATCH] for i in range(0, len(positions), _BATCH)]
        quick = len(positions) < _BAR_FROM
        with Progress(console=Console(stderr=True), transient=True, disable=quick) as progress:
            task = progress.add_task(f"{description} of {self.root}", total=len(positions))
            for images in checked(self.loader(batches)):
                yield images
                progress.advance(task, len(images))

    def _fingerprint(self) -> str:
        """Returns a hash of the decoding and of all files' names, sizes and modification times."""
        digest = hashlib.sha256(f"{_DECODING} {self.in_channels} {self.size}".encode())
        for path in self.paths:
            try:
                status = os.stat(self.root / path)
            except OSError as error:  # a dangling link or a file just deleted
                raise InputError(f"{self.root / path}: cannot be read ({error.strerror})") from None
            digest.update(f"\0{path}\0{status.st_size}\0{status.st_mtime_ns}".encode())
        return digest.hexdigest()


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
    """Yields the decoded batches of a `decoding_loader`; raises the InputError of a worker."""
    for images in loader:
        if isinstance(images, InputError):
            raise images
        yield images


class _Decoder(Dataset):
    """The dataset in a worker process: file names and decoding options."""

    def __init__(self, root: Path, paths: tuple[str, ...], in_channels: int, size: int) -> None:
        self.root, self.paths = root, paths
        self.in_channels, self.size = in_channels, size

    def __getitems__(self, positions: Sequence[int]) -> Tensor | InputError:
        try:
            return torch.stack([self[position] for position in positions])
        except InputError as error:
            return error  # the DataLoader would wrap an error raised in a worker in a traceback

    def __getitem__(self, position: int) -> Tensor:
        return read_image(self.root / self.paths[position], self.in_channels, self.size)


def _leave_process_group(worker: int) -> None:
    """Shields workers from group signals: the run needs them until its last step is saved."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()


def _as_is(batch: Any) -> Any:
    return batch

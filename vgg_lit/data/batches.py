"""Batch loaders for resident and streamed images, in an order that depends only on (seed, epoch).

A batch is (uint8 images BCHW, int64 labels B, int64 ids B). Ids are indices into the official split,
so an id names the same image in any subset. In an evaluation over several ranks, a position that
pads the last batch has id and label PADDING.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from vgg_lit.data.draws import permutation
from vgg_lit.data.image_files import ImageFiles, checked
from vgg_lit.errors import InputError

Batch: TypeAlias = tuple[Tensor, Tensor, Tensor]

PADDING = -1  # id and label of a padding position without an image


class Order(Protocol):
    """The positions of a subset that one rank visits in an epoch, split into batches.

    Attributes:
        batch_size: batch size of this rank.
        epoch: current epoch; Lightning sets it through `set_epoch` before each epoch.
    """

    batch_size: int
    epoch: int

    def set_epoch(self, epoch: int) -> None:
        """Sets the current epoch."""

    def __len__(self) -> int:
        """Returns the number of batches."""

    def positions(self, epoch: int) -> Tensor:
        """Returns the int64 positions of all batches in sequence, on the CPU, with any PADDING."""


class TrainingOrder:
    """A new permutation in each epoch; the incomplete last batch is dropped.

    Global batch k is `perm[k * B : (k + 1) * B]` for any number of ranks; rank r takes the r-th
    contiguous slice of it.

    Args:
        num_images: number of images in the subset.
        batch_size: global batch size, over all ranks.
        seed: seed of the permutations.
        rank: rank of this process.
        world_size: number of processes.
        reshuffle: True draws a new permutation in each epoch; False repeats that of epoch 0.

    Raises:
        InputError: the batch size is not divisible by the number of ranks or is larger than the
            subset.
    """

    def __init__(
        self,
        num_images: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        reshuffle: bool = True,
    ) -> None:
        if batch_size % world_size:
            below = batch_size // world_size * world_size
            sizes = " or ".join(str(size) for size in (below, below + world_size) if size)
            raise InputError(
                f"batch_size={batch_size}: the global batch is not divisible by {world_size}"
                f" processes; nearest allowed: {sizes}"
            )
        if batch_size > num_images:
            raise InputError(
                f"batch_size={batch_size}: larger than the {num_images} training images"
            )
        self.batch_size = batch_size // world_size
        self.epoch = 0
        self._num_images, self._seed, self._reshuffle = num_images, seed, reshuffle
        self._rank, self._world_size = rank, world_size

    def set_epoch(self, epoch: int) -> None:
        """Sets the current epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._num_images // (self.batch_size * self._world_size)

    def positions(self, epoch: int) -> Tensor:
        """Returns this rank's slices of the epoch's global batches."""
        visited = len(self) * self.batch_size * self._world_size
        order = permutation(self._num_images, self._seed, epoch if self._reshuffle else 0)[:visited]
        return order.view(-1, self._world_size, self.batch_size)[:, self._rank].flatten()


class EvaluationOrder:
    """Every position exactly once over all ranks, in order: rank r takes r, r + world_size, ...

    All ranks have the same number and sizes of batches: if the subset is not divisible by the number
    of ranks, some ranks end with one PADDING.

    Args:
        num_images: number of images in the subset.
        batch_size: global batch size, over all ranks; the batch size of a rank is rounded up.
        rank: rank of this process.
        world_size: number of processes.
    """

    def __init__(
        self, num_images: int, batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self.batch_size = -(-batch_size // world_size)
        self.epoch = 0
        self._num_images, self._rank, self._world_size = num_images, rank, world_size

    def set_epoch(self, epoch: int) -> None:
        """Sets the current epoch; the order is the same in every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self._per_rank // self.batch_size)

    def positions(self, epoch: int) -> Tensor:
        """Returns this rank's positions, the same in every epoch."""
        positions = self._rank + self._world_size * torch.arange(self._per_rank)
        return positions.masked_fill(positions >= self._num_images, PADDING)

    @property
    def _per_rank(self) -> int:
        return -(-self._num_images // self._world_size)


class BatchLoader(ABC):
    """An iterable over the batches of the current epoch that can resume in mid-epoch.

    Lightning sets the epoch through `sampler`, saves `state_dict` with a checkpoint and loads it
    before the first epoch of a resumed run.

    Args:
        ids_M: ids of the visited images in their split, on the CPU.
        order: order in which those M images are visited.

    Attributes:
        asked_at: time at which the current batch was requested, from `time.perf_counter`.
    """

    def __init__(self, ids_M: Tensor, order: Order) -> None:
        self.ids_M = ids_M
        self.asked_at = 0.0
        self.sampler = order
        self.batch_sampler = None  # Lightning reads it from any loader that has a sampler
        self._epoch = 0
        self._batches = 0
        self._resuming = False

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        # A generator: its body starts at the first next(). Lightning creates the first epoch's
        # iterator before it sets the epoch, and creates another only to check that it can.
        self.asked_at = time.perf_counter()
        epoch = self.sampler.epoch
        # An epoch that was complete when saved is not resumed: the next epoch has another number.
        first = self._batches if self._resuming and self._epoch == epoch else 0
        self._epoch, self._batches, self._resuming = epoch, first, False
        for batch in self._read(self.sampler.positions(epoch)[first * self.sampler.batch_size :]):
            self._batches += 1  # before the step, so that a checkpoint of this step counts it
            yield batch
            self.asked_at = time.perf_counter()

    def in_order(self) -> Iterator[Batch]:
        """Yields every image once, on each rank; ignores the epoch and the saved position."""
        return self.at(torch.arange(len(self.ids_M)))

    def at(self, positions: Tensor) -> Iterator[Batch]:
        """Yields the images at these positions of the subset; otherwise like `in_order`."""
        return self._read(positions)

    def state_dict(self) -> dict[str, int]:
        """Returns the current epoch and the number of its batches already returned."""
        return {"epoch": self._epoch, "batches": self._batches}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restores the position, used if the next iteration is over the saved epoch."""
        self._epoch, self._batches, self._resuming = state["epoch"], state["batches"], True

    @abstractmethod
    def _read(self, positions: Tensor) -> Iterator[Batch]:
        """Yields the batches at these positions of the subset."""


class ResidentBatches(BatchLoader):
    """Batches gathered from images that are stored on the device.

    Args:
        images_NCHW: images of a whole official split, on the device.
        labels_N: labels of that split, on the device.
        ids_M: ids of the visited images, on the CPU.
        order: order in which those M images are visited.
    """

    def __init__(self, images_NCHW: Tensor, labels_N: Tensor, ids_M: Tensor, order: Order) -> None:
        super().__init__(ids_M, order)
        self._images, self._labels = images_NCHW, labels_N

    def _read(self, positions: Tensor) -> Iterator[Batch]:
        # one transfer per epoch; no transfer and no device sync per batch
        ids, labels = _look_up(positions, self.ids_M, self._labels.cpu())
        device = self._images.device
        size = self.sampler.batch_size
        ids = ids.to(device)
        parts = (part.split(size) for part in (ids.clamp(min=0), labels.to(device), ids))
        for rows_B, labels_B, ids_B in zip(*parts, strict=True):
            yield self._images.index_select(0, rows_B), labels_B, ids_B


class StreamedBatches(BatchLoader):
    """Batches that worker processes decode from files.

    Args:
        files: files of a whole official split.
        ids_M: ids of the visited images.
        order: order in which those M images are visited.
        device: device that the batches are copied to.
    """

    def __init__(
        self, files: ImageFiles, ids_M: Tensor, order: Order, device: torch.device
    ) -> None:
        super().__init__(ids_M, order)
        self._labels = files.labels_N
        # the workers persist across epochs; the loader rereads this list in each epoch
        self._pending: list[Sequence[int]] = []
        self._loader = files.loader(self._pending, pin_memory=device.type == "cuda")
        self._device = device
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None

    def _read(self, positions: Tensor) -> Iterator[Batch]:
        size = self.sampler.batch_size
        ids, labels = _look_up(positions, self.ids_M, self._labels)
        self._pending[:] = [ids_B.clamp(min=0).tolist() for ids_B in ids.split(size)]
        images = map(self._to_device, checked(self._loader))
        parts = (part.to(self._device).split(size) for part in (labels, ids))
        yield from zip(images, *parts, strict=True)

    def _to_device(self, images_BCHW: Tensor) -> Tensor:
        """Copies images to the device; on CUDA in a separate stream.

        The host runs ahead of a GPU, so the copy overlaps with the previous step.
        """
        if self._copies is None:
            return images_BCHW.to(self._device)
        with torch.cuda.stream(self._copies):
            copied_BCHW = images_BCHW.to(self._device, non_blocking=True)
        steps = torch.cuda.current_stream(self._device)
        steps.wait_stream(self._copies)
        # so that the next copy cannot reuse the memory before it is read
        copied_BCHW.record_stream(steps)
        return copied_BCHW


def _look_up(positions: Tensor, ids_M: Tensor, labels_N: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the ids and labels at positions of a subset; PADDING stays PADDING in both."""
    ids = torch.where(positions < 0, PADDING, ids_M[positions.clamp(min=0)])
    return ids, torch.where(ids < 0, PADDING, labels_N[ids.clamp(min=0)])

"""The batch loader: an order that is a pure function of (seed, epoch), resident or streamed images.

A batch is (uint8 images BCHW, int64 labels B, int64 ids B). Ids are indices in the official split,
so they mean the same image in any subset; in an evaluation over several ranks the position that
evens out the last batch has id and label PADDING.
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

PADDING = -1  # id and label of a position that belongs to no image


class Order(Protocol):
    """Which positions of a subset one rank visits in an epoch, cut into its batches.

    Attributes:
        batch_size: of this rank.
        epoch: set by Lightning through `set_epoch` before each epoch.
    """

    batch_size: int
    epoch: int

    def set_epoch(self, epoch: int) -> None:
        """Make `epoch` the current one."""

    def __len__(self) -> int:
        """The number of batches."""

    def positions(self, epoch: int) -> Tensor:
        """int64 positions on the CPU, all batches one after another, PADDING among them."""


class TrainingOrder:
    """A new permutation each epoch; the incomplete last batch is dropped.

    Global batch k is `perm[k * B : (k + 1) * B]` whatever the number of ranks; rank r takes the r-th
    of its contiguous slices.

    Args:
        num_images: in the subset.
        batch_size: global, over all ranks.
        seed: of the permutations.
        rank: of this process.
        world_size: number of processes.
        reshuffle: whether each epoch has its own permutation, or all that of epoch 0.

    Raises:
        InputError: the batch does not divide over the ranks or is larger than the subset.
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
                f"batch_size={batch_size}: the global batch does not divide over {world_size}"
                f" processes; the nearest that does: {sizes}"
            )
        if batch_size > num_images:
            raise InputError(f"batch_size={batch_size}: more than the {num_images} training images")
        self.batch_size = batch_size // world_size
        self.epoch = 0
        self._num_images, self._seed, self._reshuffle = num_images, seed, reshuffle
        self._rank, self._world_size = rank, world_size

    def set_epoch(self, epoch: int) -> None:
        """Make `epoch` the current one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._num_images // (self.batch_size * self._world_size)

    def positions(self, epoch: int) -> Tensor:
        """This rank's slices of the epoch's global batches."""
        visited = len(self) * self.batch_size * self._world_size
        order = permutation(self._num_images, self._seed, epoch if self._reshuffle else 0)[:visited]
        return order.view(-1, self._world_size, self.batch_size)[:, self._rank].flatten()


class EvaluationOrder:
    """Every position exactly once over the ranks, in order: rank r takes r, r + world, ...

    All ranks have the same batches: where the subset does not divide, some end with one PADDING.

    Args:
        num_images: in the subset.
        batch_size: global, over all ranks; rounded up where it does not divide.
        rank: of this process.
        world_size: number of processes.
    """

    def __init__(
        self, num_images: int, batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self.batch_size = -(-batch_size // world_size)
        self.epoch = 0
        self._num_images, self._rank, self._world_size = num_images, rank, world_size

    def set_epoch(self, epoch: int) -> None:
        """The order is the same in every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self._per_rank // self.batch_size)

    def positions(self, epoch: int) -> Tensor:
        """This rank's share, the same in every epoch."""
        positions = self._rank + self._world_size * torch.arange(self._per_rank)
        return positions.masked_fill(positions >= self._num_images, PADDING)

    @property
    def _per_rank(self) -> int:
        return -(-self._num_images // self._world_size)


class BatchLoader(ABC):
    """Iterates over the batches of the current epoch, and resumes in the middle of one.

    Lightning sets the epoch through `sampler`, saves `state_dict` with a checkpoint and loads it
    before the first epoch of a resumed run.

    Args:
        ids_M: which images of a split are visited, on the CPU.
        order: of those M.

    Attributes:
        asked_at: when the batch in hand was asked for, as `time.perf_counter` counts.
    """

    def __init__(self, ids_M: Tensor, order: Order) -> None:
        self.ids_M = ids_M
        self.asked_at = 0.0
        self.sampler = order
        self.batch_sampler = None  # Lightning looks here too where there is a sampler
        self._epoch = 0
        self._batches = 0
        self._resuming = False

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        # A generator, whose body waits for the first next(): Lightning makes the first epoch's
        # iterator before it sets the epoch, and throws one away to see that it can be made.
        self.asked_at = time.perf_counter()
        epoch = self.sampler.epoch
        # An epoch that was complete when saved is not resumed: the next one has another number.
        first = self._batches if self._resuming and self._epoch == epoch else 0
        self._epoch, self._batches, self._resuming = epoch, first, False
        for batch in self._read(self.sampler.positions(epoch)[first * self.sampler.batch_size :]):
            self._batches += 1  # before the step: a checkpoint of this step counts it
            yield batch
            self.asked_at = time.perf_counter()

    def in_order(self) -> Iterator[Batch]:
        """Every image once, on each rank; no epoch, and nothing to resume."""
        return self.at(torch.arange(len(self.ids_M)))

    def at(self, positions: Tensor) -> Iterator[Batch]:
        """The images at these positions of the subset, as `in_order`."""
        return self._read(positions)

    def state_dict(self) -> dict[str, int]:
        """How many batches of which epoch have been handed out."""
        return {"epoch": self._epoch, "batches": self._batches}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue after those batches, if that epoch is iterated over next."""
        self._epoch, self._batches, self._resuming = state["epoch"], state["batches"], True

    @abstractmethod
    def _read(self, positions: Tensor) -> Iterator[Batch]:
        """The batches at these positions of the subset."""


class ResidentBatches(BatchLoader):
    """Batches gathered from images that lie on the device.

    Args:
        images_NCHW: a whole official split, on the device.
        labels_N: of that split, on the device.
        ids_M: which of its images are visited, on the CPU.
        order: of those M.
    """

    def __init__(self, images_NCHW: Tensor, labels_N: Tensor, ids_M: Tensor, order: Order) -> None:
        super().__init__(ids_M, order)
        self._images, self._labels = images_NCHW, labels_N

    def _read(self, positions: Tensor) -> Iterator[Batch]:
        # one transfer an epoch; none, and no wait for the device, a batch
        ids, labels = _look_up(positions, self.ids_M, self._labels.cpu())
        device = self._images.device
        size = self.sampler.batch_size
        for ids_B, labels_B in zip(
            ids.to(device).split(size), labels.to(device).split(size), strict=True
        ):
            yield self._images.index_select(0, ids_B.clamp(min=0)), labels_B, ids_B


class StreamedBatches(BatchLoader):
    """Batches that worker processes decode from files.

    Args:
        files: a whole official split.
        ids_M: which of its images are visited.
        order: of those M.
        device: that the batches are brought to.
    """

    def __init__(
        self, files: ImageFiles, ids_M: Tensor, order: Order, device: torch.device
    ) -> None:
        super().__init__(ids_M, order)
        self._labels = files.labels_N
        # the loader keeps its workers from epoch to epoch and reads this list anew in each
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
        """A copy on the device; on CUDA in a stream of its own.

        The host runs ahead of a GPU: the copy is made while the step before is still computed.
        """
        if self._copies is None:
            return images_BCHW.to(self._device)
        with torch.cuda.stream(self._copies):
            copied_BCHW = images_BCHW.to(self._device, non_blocking=True)
        steps = torch.cuda.current_stream(self._device)
        steps.wait_stream(self._copies)
        copied_BCHW.record_stream(steps)  # or the next copy could take the memory before it is read
        return copied_BCHW


def _look_up(positions: Tensor, ids_M: Tensor, labels_N: Tensor) -> tuple[Tensor, Tensor]:
    """Ids and labels at positions of a subset; PADDING stays so in both."""
    ids = torch.where(positions < 0, PADDING, ids_M[positions.clamp(min=0)])
    return ids, torch.where(ids < 0, PADDING, labels_N[ids.clamp(min=0)])

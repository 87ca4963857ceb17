"""The order in which a rank visits the images of a subset, a function of (seed, epoch) alone."""

from typing import Protocol

import torch
from torch import Tensor

from vgg_lit.data.balancing import balanced_order
from vgg_lit.data.draws import permutation
from vgg_lit.errors import InputError

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
        balanced_by: labels of the images; if given, each class is visited equally often in an epoch
            (see `vgg_lit.data.balancing`).

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
        balanced_by: Tensor | None = None,
    ) -> None:
        if batch_size % world_size:
            below = batch_size // world_size * world_size
            sizes = " or ".join(str(size) for size in (below, below + world_size) if size)
            raise InputError(
                f"batch_size={batch_size}: the global batch is not divisible by {world_size}"
                f" processes; nearest allowed: {sizes}"
            )
        check_batch_size(batch_size, num_images, world_size)
        self.batch_size = batch_size // world_size
        self.epoch = 0
        self._num_images, self._seed, self._reshuffle = num_images, seed, reshuffle
        self._rank, self._world_size = rank, world_size
        self._balanced_by = balanced_by

    def set_epoch(self, epoch: int) -> None:
        """Sets the current epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._num_images // (self.batch_size * self._world_size)

    def positions(self, epoch: int) -> Tensor:
        """Returns this rank's slices of the epoch's global batches."""
        visited = len(self) * self.batch_size * self._world_size
        epoch = epoch if self._reshuffle else 0
        if self._balanced_by is None:
            order = permutation(self._num_images, self._seed, epoch)[:visited]
        else:
            order = balanced_order(self._balanced_by, self._seed, epoch)[:visited]
        return order.view(-1, self._world_size, self.batch_size)[:, self._rank].flatten()


def check_batch_size(batch_size: int, num_images: int, world_size: int) -> None:
    """Checks that there are enough training images for a global batch.

    Raises:
        InputError: there are fewer; the message has the largest size that the processes can share.
    """
    if batch_size > num_images:
        raise InputError(
            f"data.batch_size={batch_size}: larger than the {num_images:,} training images; set "
            f"data.batch_size={num_images // world_size * world_size or world_size} or less, or add images"
        )


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

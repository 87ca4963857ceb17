"""Batches of any loader, with an order that depends only on (seed, epoch), divided over the ranks.

    loader = CustomLoader(DataLoader(...), "train", num_classes=10, seed=0)

A batch is a tuple or list that starts with images and labels: uint8 or float images (B, C, H, H), integer
labels (B,) or (B, 1). In training, labels may be class probabilities (B, K). A third part of integers (B,)
gives sample ids.

Shape suffixes: B images of a batch, C channels, H x H pixels, K classes.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vgg_lit.data.batches import Batch
from vgg_lit.data.decoding_loader import SharingCollate, restored
from vgg_lit.data.orders import PADDING
from vgg_lit.data.user_code import random_state, restore_random_state, seed_all
from vgg_lit.errors import InputError


class Parts(NamedTuple):
    """The images, labels and ids of a batch; ids are None if the batch has none."""

    images_BCHW: Tensor
    labels: Tensor
    ids_B: Tensor | None


def parts_of(batch: Any, split: str, num_classes: int | None) -> Parts:
    """Returns the images, int64 labels and ids of a batch.

    Args:
        batch: batch of a loader.
        split: "train", "val" or "test", for messages.
        num_classes: number of classes; None: labels may be of any class.

    Raises:
        InputError: the batch has other parts, shapes or types, or a label is out of range.
    """
    where = f"data: a batch of {split}_dataloader"
    remedy = "return (images, labels) with images (B, C, H, H) and integer labels (B,)"
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        raise InputError(f"{where} is a {type(batch).__name__}; {remedy}")
    images, labels, *rest = batch
    if not isinstance(images, Tensor) or not isinstance(labels, Tensor):
        kinds = f"({type(images).__name__}, {type(labels).__name__})"
        raise InputError(f"{where} is {kinds}, not two tensors; {remedy}")
    shape = f"{_name(images)} {tuple(images.shape)}"
    if images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise InputError(f"{where} has images of {shape}; {remedy}")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise InputError(f"{where} has images of {shape}; allowed: uint8 or float")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    is_mixed = labels.ndim == 2 and labels.is_floating_point() and split == "train"
    if not is_mixed:
        is_whole = not labels.is_floating_point() and labels.dtype != torch.bool
        if labels.ndim != 1 or len(labels) != len(images) or not is_whole:
            help_ = "class indices, e.g. with argmax(1)" if labels.ndim == 2 else "class indices"
            raise InputError(
                f"{where} has labels of {_name(labels)} {tuple(labels.shape)}; allowed: integers "
                f"({len(images)},): {help_}"
            )
        labels = labels.long()
        # a GPU would have to wait for its labels in every step
        if num_classes is not None and labels.device.type == "cpu" and len(labels):
            lowest, highest = int(labels.min()), int(labels.max())
            if lowest < PADDING or highest >= num_classes:
                raise InputError(
                    f"{where} has labels from {lowest} to {highest}; allowed for {num_classes} classes: "
                    f"0 to {num_classes - 1}"
                )
    elif num_classes is not None and labels.shape[1] != num_classes:
        raise InputError(
            f"{where} has probabilities of {labels.shape[1]} classes, not {num_classes}"
        )
    ids = rest[0] if rest and isinstance(rest[0], Tensor) else None
    has_ids = ids is not None and ids.dtype == torch.int64 and ids.shape == images.shape[:1]
    return Parts(images, labels, ids if has_ids else None)


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


class Epoch:
    """The epoch of a loader, which Lightning sets."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch."""
        self.epoch = epoch


def _share_batches(loader: DataLoader) -> None:
    """Makes the workers of a loader send batches through pipes where shared memory is full."""
    if not isinstance(loader.collate_fn, SharingCollate):
        loader.collate_fn = SharingCollate(loader.collate_fn)


class CustomLoader:
    """The batches of a loader on one rank.

    Random numbers of the loader and its data set are those of (seed, epoch): they neither depend on the
    training nor change it, so a resumed run skips the batches that it has seen. Each rank reads all
    batches and keeps its share of their rows.

    Args:
        loader: batches, such as a `torch.utils.data.DataLoader`.
        split: "train", "val" or "test".
        num_classes: number of classes; None: labels are not checked.
        seed: seed of the order and of random transforms.
        rank: rank of this process.
        world_size: number of processes.

    Attributes:
        asked_at: time at which the current batch was requested, from `time.perf_counter`.
    """

    def __init__(
        self,
        loader: Iterable[Any],
        split: str,
        num_classes: int | None,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.loader = loader
        if isinstance(loader, DataLoader) and loader.num_workers:
            _share_batches(loader)
        self.split = split
        self.num_classes = num_classes
        self.seed = seed
        self.rank, self.world_size = rank, world_size
        self.sampler = Epoch()
        self.batch_sampler = None  # Lightning reads it from any loader that has a sampler
        self.asked_at = 0.0
        self._epoch = self._batches = 0
        self._resuming = False
        self._state: Any = None

    def __len__(self) -> int:
        return len(self.loader)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        self.asked_at = time.perf_counter()
        epoch = self.sampler.epoch if self.split == "train" else 0
        first = self._batches if self._resuming and self._epoch == epoch else 0
        self._epoch, self._batches, self._resuming = epoch, 0, False
        for batch in self.all_batches(epoch):
            self._batches += 1  # before the step, so that a checkpoint of this step counts it
            if self._batches <= first:
                continue
            part = self._share(batch)
            if part is not None:
                yield part
            self.asked_at = time.perf_counter()

    def all_batches(self, epoch: int = 0) -> Iterator[Any]:
        """Yields the checked batches of an epoch with all their rows."""
        with self._random_state(epoch):
            batches = iter(self.loader)
        while True:
            with self._random_state():
                try:
                    batch = restored(next(batches))
                except StopIteration:
                    return
            parts_of(batch, self.split, self.num_classes)
            yield batch

    @contextmanager
    def _random_state(self, epoch: int | None = None) -> Iterator[None]:
        """Replaces the global random state by the loader's; an epoch starts a new one."""
        kept = random_state()
        if epoch is None:
            restore_random_state(self._state)
        else:
            seed = seed_all(self.seed, self.split, epoch)
            for owner in (self.loader, getattr(self.loader, "sampler", None)):
                if (generator := getattr(owner, "generator", None)) is not None:
                    generator.manual_seed(seed)
        try:
            yield
        finally:
            self._state = random_state()
            restore_random_state(kept)

    def _share(self, batch: Any) -> Any | None:
        """Returns this rank's rows of a batch; None if there is not a row for each rank in training.

        In training, rows that cannot be divided are left out. In an evaluation the last rank repeats a
        row, with the label PADDING.
        """
        if self.world_size == 1:
            return batch
        size = len(batch[0])
        if self.split == "train":
            count = size // self.world_size
            rows = torch.arange(count) + self.rank * count
            return _rows(batch, size, rows) if count else None
        count = -(-size // self.world_size)
        rows = torch.arange(count) + self.rank * count
        images, labels, *rest = _rows(batch, size, rows.clamp(max=size - 1))
        labels = parts_of((images, labels), self.split, None).labels
        labels = labels.masked_fill((rows >= size).to(labels.device), PADDING)
        return (
            type(batch)([images, labels, *rest])
            if type(batch) in (list, tuple)
            else (images, labels)
        )

    def state_dict(self) -> dict[str, int]:
        """Returns the current epoch and the number of its batches already returned."""
        return {"epoch": self._epoch, "batches": self._batches}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restores the position, used if the next iteration is over the saved epoch."""
        self._epoch, self._batches, self._resuming = state["epoch"], state["batches"], True


def _rows(batch: Any, size: int, rows: Tensor) -> list[Any]:
    def part(value: Any) -> Any:
        is_per_image = isinstance(value, Tensor) and value.ndim and len(value) == size
        return value[rows.to(value.device)] if is_per_image else value

    return [part(value) for value in batch]


class PixelBatches:
    """Batches of pixels in 0..255, labels and ids, without a Trainer.

    Args:
        loader: batches.
        hooks: function that applies the hooks of the data module to a batch.
        to_pixels: function from images of a batch to pixels in 0..255.
    """

    def __init__(
        self,
        loader: CustomLoader,
        hooks: Callable[[Any], Any],
        to_pixels: Callable[[Tensor], Tensor],
    ) -> None:
        self._loader = loader
        self._hooks = hooks
        self._to_pixels = to_pixels

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Batch]:
        first = 0
        for batch in self._loader.all_batches():
            parts = parts_of(self._hooks(batch), self._loader.split, None)
            size = len(parts.images_BCHW)
            ids_B = torch.arange(first, first + size) if parts.ids_B is None else parts.ids_B
            yield self._to_pixels(parts.images_BCHW), parts.labels, ids_B
            first += size

    def at(self, positions: Tensor) -> Iterator[Batch]:
        """Yields the images at these positions, as one batch; reads the batches up to the last one."""
        found: dict[int, tuple[Tensor, ...]] = {}
        wanted, first = set(positions.tolist()), 0
        for batch in self:
            for position in wanted & set(range(first, first + len(batch[0]))):
                found[position] = tuple(part[position - first] for part in batch)
            first += len(batch[0])
            if len(found) == len(wanted):
                break
        rows = [found[position] for position in positions.tolist()]
        yield tuple(torch.stack(parts) for parts in zip(*rows, strict=True))  # type: ignore[misc]

"""Batch loaders for resident and streamed images, in an order that depends only on (seed, epoch).

A batch is (uint8 images BCHW, int64 labels B, int64 ids B), or has `Rectangles` in place of images. Ids are indices into the official split,
so an id names the same image in any subset; the ids of an official validation split follow those of
the train split. If an image is visited again in the same epoch, its id is increased by a multiple of
REPEAT, so that it is augmented differently. In an evaluation over several ranks, a position that pads
the last batch has id and label PADDING.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from vgg_lit.data.balancing import REPEAT
from vgg_lit.data.decoding_loader import checked
from vgg_lit.data.image_files import ImageFiles
from vgg_lit.data.image_records import ImageRecords
from vgg_lit.data.orders import PADDING, Order
from vgg_lit.data.rectangles import Rectangles

Batch: TypeAlias = tuple[Any, Tensor, Tensor]


class BatchLoader(ABC):
    """An iterable over the batches of the current epoch that can resume in mid-epoch.

    Lightning sets the epoch through `sampler`, saves `state_dict` with a checkpoint and loads it
    before the first epoch of a resumed run.

    Args:
        ids_M: indices of the visited images in their split, on the CPU.
        order: order in which those M images are visited.
        first_id: id of the first image of the split.

    Attributes:
        asked_at: time at which the current batch was requested, from `time.perf_counter`.
    """

    def __init__(self, ids_M: Tensor, order: Order, first_id: int = 0) -> None:
        self.ids_M = ids_M
        self.first_id = first_id
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

    def _look_up(self, positions: Tensor, labels_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns rows, labels and ids at positions of the subset, on the CPU.

        PADDING stays PADDING in labels and ids; its row is 0.
        """
        is_image, within = positions >= 0, positions.clamp(min=0)
        rows = torch.where(is_image, self.ids_M[within % REPEAT], 0)
        ids = rows + self.first_id + within // REPEAT * REPEAT
        return (
            rows,
            torch.where(is_image, labels_N[rows], PADDING),
            torch.where(is_image, ids, PADDING),
        )


class ResidentBatches(BatchLoader):
    """Batches gathered from images that are stored on the device.

    Args:
        images_NCHW: images of a whole official split, on the device.
        labels_N: labels of that split, on the device.
        ids_M: indices of the visited images, on the CPU.
        order: order in which those M images are visited.
        first_id: id of the first image of the split.
    """

    def __init__(
        self,
        images_NCHW: Tensor,
        labels_N: Tensor,
        ids_M: Tensor,
        order: Order,
        first_id: int = 0,
    ) -> None:
        super().__init__(ids_M, order, first_id)
        self._images, self._labels = images_NCHW, labels_N

    def _read(self, positions: Tensor) -> Iterator[Batch]:
        # one transfer per epoch; no transfer and no device sync per batch
        parts = self._look_up(positions, self._labels.cpu())
        device, size = self._images.device, self.sampler.batch_size
        for rows_B, labels_B, ids_B in zip(
            *(part.to(device).split(size) for part in parts), strict=True
        ):
            yield self._images.index_select(0, rows_B), labels_B, ids_B


class StreamedBatches(BatchLoader):
    """Batches that worker processes decode from files.

    Args:
        files: files of a whole official split.
        ids_M: indices of the visited images.
        order: order in which those M images are visited.
        device: device that the batches are copied to.
        first_id: id of the first image of the split.
    """

    def __init__(
        self,
        files: ImageFiles | ImageRecords,
        ids_M: Tensor,
        order: Order,
        device: torch.device,
        first_id: int = 0,
    ) -> None:
        super().__init__(ids_M, order, first_id)
        self._labels = files.labels_N
        # the workers persist across epochs; the loader rereads this list in each epoch
        self._pending: list[Sequence[int]] = []
        self._loader = files.loader(self._pending, pin_memory=device.type == "cuda")
        self._device = device
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None

    def _read(self, positions: Tensor) -> Iterator[Batch]:
        size = self.sampler.batch_size
        rows, labels, ids = self._look_up(positions, self._labels)
        self._pending[:] = [rows_B.tolist() for rows_B in rows.split(size)]
        images = map(self._to_device, checked(self._loader))
        parts = (part.to(self._device).split(size) for part in (labels, ids))
        yield from zip(images, *parts, strict=True)

    def _to_device(self, images: Tensor | Rectangles) -> Tensor | Rectangles:
        """Copies images to the device; on CUDA in a separate stream.

        The host runs ahead of a GPU, so the copy overlaps with the previous step.
        """
        if isinstance(images, Rectangles):
            return Rectangles(*map(self._copied, images))
        return self._copied(images)

    def _copied(self, images_BCHW: Tensor) -> Tensor:
        if self._copies is None:
            return images_BCHW.to(self._device)
        with torch.cuda.stream(self._copies):
            copied_BCHW = images_BCHW.to(self._device, non_blocking=True)
        steps = torch.cuda.current_stream(self._device)
        steps.wait_stream(self._copies)
        # so that the next copy cannot reuse the memory before it is read
        copied_BCHW.record_stream(steps)
        return copied_BCHW

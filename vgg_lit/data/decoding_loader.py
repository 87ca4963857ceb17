"""The loader of batches that worker processes decode.

loader = decoding_loader(decoder, batches, num_workers=2)
for batch in decoded_batches(loader):
    ...                                # a Tensor, an IncompleteBatch or an InputError
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vgg_lit.data.user_code import random_state, restore_random_state
from vgg_lit.errors import InputError
from vgg_lit.system.hardware import count_cores
from vgg_lit.system.operating_system import leave_process_group
from vgg_lit.system.shared_memory import REMEDY, has_semaphores, is_full, received, share, warn_once


@dataclass(frozen=True)
class IncompleteBatch:
    """A batch with damaged images.

    Attributes:
        images: the batch; 0 for damaged images.
        messages: messages by position in the split, each with the path of the file.
        reasons: the same messages without the path.
    """

    images: Tensor
    messages: Mapping[int, str]
    reasons: Mapping[int, str]


def decoding_loader(
    decoder: Dataset, batches: Sequence[Sequence[int]], num_workers: int, pin_memory: bool = False
) -> DataLoader:
    """Returns a loader of the batches that `decoder.__getitems__` returns, or of its InputErrors.

    Without shared memory, the main process decodes. Read the loader with `decoded_batches`.
    """
    num_workers = min(num_workers, count_cores())  # torch warns above the number of cores
    if num_workers and not has_semaphores():
        num_workers = 0
        warn_once(
            "shared memory is full or cannot be written, so that no worker can start; the main process "
            f"decodes the images, which is slower; {REMEDY}"
        )
    return DataLoader(
        decoder,
        batch_sampler=batches,  # type: ignore[arg-type]  # any re-iterable of index lists works
        num_workers=num_workers,
        collate_fn=shared if num_workers else _as_is,
        persistent_workers=num_workers > 0,
        pin_memory=pin_memory,
        worker_init_fn=_leave_process_group if num_workers else None,
    )


def decoded_batches(loader: DataLoader) -> Iterator[Any]:
    """Returns the batches of a `decoding_loader`; a batch may be a part of a tuple."""
    return map(restored, loader)


def checked(loader: DataLoader) -> Iterator[Tensor]:
    """Yields the batches of a `decoding_loader`, all without damage.

    Raises:
        InputError: an image is damaged; the message names it.
    """
    for batch in decoded_batches(loader):
        if isinstance(batch, InputError):
            raise batch
        if isinstance(batch, IncompleteBatch):
            raise InputError(next(iter(batch.messages.values())))
        yield batch


class SharingCollate:
    """The collate function of another loader, whose batches also fit into a small shared memory.

    In a worker, `default_collate` allocates shared memory and raises an error if it is full. Here the
    batch is then built in the worker's own memory. `restored` returns it in the main process.

    Args:
        collate: the other function.
    """

    def __init__(self, collate: Callable[[Any], Any]) -> None:
        self.collate = collate

    def __call__(self, samples: Any) -> Any:
        """Returns the batch, prepared for the way to the main process."""
        state = random_state()
        try:
            return shared(self.collate(samples))
        except RuntimeError as error:
            if not is_full(error):
                raise
        restore_random_state(state)  # the function may mix images at random
        in_worker = torch.utils.data.get_worker_info
        torch.utils.data.get_worker_info = lambda: None  # makes `default_collate` use own memory
        try:
            return shared(self.collate(samples))
        finally:
            torch.utils.data.get_worker_info = in_worker


def shared(batch: Any) -> Any:
    """Prepares a batch in the worker for the way to the main process."""
    if isinstance(batch, tuple | list):
        return _as(batch, map(shared, batch))
    if isinstance(batch, IncompleteBatch):
        return replace(batch, images=share(batch.images))  # type: ignore[arg-type]  # an array on its way
    return share(batch) if isinstance(batch, Tensor) else batch


def restored(batch: Any) -> Any:
    """Returns a batch as it was before `shared`."""
    if isinstance(batch, tuple | list):
        return _as(batch, map(restored, batch))
    if isinstance(batch, IncompleteBatch):
        return replace(batch, images=received(batch.images))
    return received(batch) if isinstance(batch, np.ndarray) else batch


def _as(batch: tuple | list, parts: Iterable[Any]) -> tuple | list:
    """Returns the parts in the type of `batch`, which may be a named tuple."""
    return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)


def _as_is(batch: Any) -> Any:
    return batch


def _leave_process_group(worker: int) -> None:
    """Shields workers from group signals: the run needs them until its last step is saved."""
    leave_process_group()

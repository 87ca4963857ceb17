"""Tensors of worker processes in shared memory, or in pipes where shared memory is too small.

Docker gives a container 64 MB of shared memory. If a batch does not fit, torch raises an error in a thread
of the worker: the batch is lost, and the main process waits for it for ever.
"""

import functools
import multiprocessing
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vgg_lit.system.launch import prints_errors
from vgg_lit.system.operating_system import free_bytes
from vgg_lit.system.terminal import warn

FOLDER = Path("/dev/shm")
"""File system of shared memory on Linux."""

RESERVE = 2**20
"""Bytes that batches leave free, for the semaphores of queues."""

REMEDY = "a container gets more with `docker run --shm-size=1g`"


def has_semaphores() -> bool:
    """Returns True if queues between processes can be created, which needs a few bytes of shared memory."""
    try:
        multiprocessing.Lock()
    except OSError:
        return False
    return True


def share(tensor: Tensor) -> Tensor | np.ndarray:
    """Moves a tensor to shared memory; returns an array, which is sent through a pipe, if it does not fit."""
    if tensor.is_shared():
        return tensor
    if free_bytes(FOLDER) >= tensor.nbytes + RESERVE:
        try:
            return tensor.share_memory_()
        except RuntimeError as error:  # another process was faster
            if not is_full(error):
                raise
    return tensor.numpy()


def is_full(error: RuntimeError) -> bool:
    """Returns True if an error of torch means that shared memory is full; removes the empty file it leaves."""
    name = re.search(r"unable to allocate shared memory.*</(torch_\w+)>", str(error))
    if name is None:
        return False
    (FOLDER / name.group(1)).unlink(missing_ok=True)
    return True


def received(images: Tensor | np.ndarray) -> Tensor:
    """Returns a batch of a worker as a tensor; warns once if it came through a pipe."""
    if isinstance(images, Tensor):
        return images
    warn_once(
        f"{FOLDER} is too small for the batches of the workers; they are sent through pipes, which is "
        f"slower; {REMEDY}"
    )
    return torch.from_numpy(images)


@functools.cache
def warn_once(text: str) -> None:
    """Prints a warning on standard error, once in a process and on one rank of a node."""
    if prints_errors():
        warn(text)

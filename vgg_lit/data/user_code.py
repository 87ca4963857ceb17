"""Calls of code that users bring: with separate random numbers, and by one process at a time.

with seeded(seed, "setup"):
    module.setup("fit")
prepare_source(source)
"""

import hashlib
import io
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout

from vgg_lit.errors import InputError, one_line


def random_state() -> tuple[Any, ...]:
    """Returns the state of the random numbers of torch (on the CPU), Python and NumPy."""
    return torch.default_generator.get_state(), random.getstate(), np.random.get_state()  # noqa: NPY002


def restore_random_state(state: tuple[Any, ...]) -> None:
    """Restores a result of `random_state`."""
    torch.default_generator.set_state(state[0])
    random.setstate(state[1])
    np.random.set_state(state[2])  # noqa: NPY002


def seed_all(*parts: Any) -> int:
    """Seeds torch (on the CPU), Python and NumPy with a hash of values; returns the seed."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=4).digest()
    seed = int.from_bytes(digest, "big")
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # of the user's transforms
    return seed


@contextmanager
def seeded(*parts: Any) -> Iterator[None]:
    """Gives the enclosed code random numbers that depend on these values alone, and restores the state.

    Every rank, and each later command on the run, then draws the same split.
    """
    kept = random_state()
    seed_all(*parts)
    try:
        yield
    finally:
        restore_random_state(kept)


def prepare_source(source: Any) -> None:
    """Calls `prepare` of a source; that of a user is called by one process of this machine at a time.

    The sources of this package lock what they write.
    """
    if type(source).__module__.startswith("vgg_lit."):
        source.prepare()
        return
    with one_at_a_time(source):
        source.prepare()


@contextmanager
def one_at_a_time(owner: Any) -> Iterator[None]:
    """Makes processes on this machine wait for each other, such as ranks that download the same files.

    If the folder of temporary files cannot be written, they do not wait.

    Args:
        owner: object whose code runs; processes with objects of other classes do not wait for it.
    """
    digest = hashlib.blake2b(class_name(owner).encode(), digest_size=8).hexdigest()
    lock = FileLock(Path(tempfile.gettempdir()) / f"vgg_lit-{digest}.lock", mode=0o666)
    with suppress(OSError, NotImplementedError):  # NotImplementedError: a file system without locks
        try:
            lock.acquire(timeout=2)
        except Timeout:
            print(f"waiting for another process that prepares {class_name(owner)}", file=sys.stderr)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def class_name(owner: Any) -> str:
    """Returns the module and the name of the class of an object."""
    return f"{type(owner).__module__}.{type(owner).__qualname__}"


def check_saved_state(state: Any, owner: Any) -> None:
    """Checks that a state can be read from a checkpoint again, which runs no code of the file.

    Raises:
        InputError: it has a value that is neither a tensor nor plain.
    """
    content = io.BytesIO()
    try:
        torch.save(state, content)
        content.seek(0)
        torch.load(content, weights_only=True)
    except Exception as error:  # torch and pickle raise many types
        raise InputError(
            f"data: state_dict of {class_name(owner)}: allowed are tensors and plain Python values "
            f"({one_line(error)[:200]})"
        ) from None

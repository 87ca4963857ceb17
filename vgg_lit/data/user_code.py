"""Calls of code that users bring: with separate random numbers, and by one process at a time.

with seeded(seed, "setup"):
    module.setup("fit")
prepare_source(source)
"""

import hashlib
import random
import sys
import tempfile
from collections import Counter, OrderedDict
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout

from vgg_lit.errors import InputError

VALUES = frozenset(
    {
        *(type(None), bool, int, float, complex, str, bytes, bytearray),
        *(torch.Tensor, torch.nn.Parameter, torch.Size, torch.dtype, torch.device, torch.layout),
    }
)
"""Types of single values that torch reads from a checkpoint without running code of the file."""

CONTAINERS = frozenset({dict, OrderedDict, Counter, list, tuple, set})
"""Types of containers that it reads; a subclass of another name is refused."""


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

    Compares types: writing the state would take the time and memory of a second checkpoint.

    Raises:
        InputError: it has a value that is neither a tensor nor plain.
    """
    allowed = VALUES.union(torch.serialization.get_safe_globals())
    for place, value in _refused(state, "state_dict()", allowed):
        raise InputError(
            f"data: {class_name(owner)}: {place} is of type {class_name(value).removeprefix('builtins.')}; "
            "allowed in a checkpoint: tensors and plain Python values"
        )


def _refused(value: Any, place: str, allowed: Set[Any]) -> Iterator[tuple[str, Any]]:
    """Yields the values that a checkpoint cannot have, with their places."""
    if type(value) in allowed:
        return
    if type(value) not in CONTAINERS:
        yield place, value
        return
    is_dict = isinstance(value, dict)
    if {type(part) for part in ((*value, *value.values()) if is_dict else value)} <= allowed:
        return  # at once, because a list may have a number for each image
    for key, part in value.items() if is_dict else enumerate(value):
        yield from _refused(part, f"{place}[{key!r}]", allowed)
        if is_dict:
            yield from _refused(key, f"a key of {place}", allowed)

"""File locks between processes."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from filelock import lock_descriptor

from vgg_lit.errors import InputError
from vgg_lit.system.operating_system import closing_in_forks

NO_LOCKS = tuple(
    getattr(errno, name)
    for name in ("ENOSYS", "ENOLCK", "EOPNOTSUPP", "ENOTSUP")
    if hasattr(errno, name)
)
"""Error numbers of a file system without locks: NFS without lockd, Lustre without flock, some of FUSE."""

SECONDS_BETWEEN_TRIES = 0.05


def take_lock(path: Path, is_inherited: bool = True) -> TextIO | None:
    """Opens a file and locks it until it is closed; None if another process holds the lock.

    Args:
        path: the lock file; it is created if needed.
        is_inherited: a process that inherits the descriptor holds the lock too, so that processes left
            behind by a killed parent still count. False releases it in forked children, such as
            the workers of a data loader.

    Raises:
        InputError: the file system has no locks.
        OSError: the file cannot be opened.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = path.open("a", encoding="utf-8")
        except FileNotFoundError:  # its holder has just removed the folder
            continue
        try:
            is_locked = lock_descriptor(file.fileno(), blocking=False)
        except OSError as error:
            file.close()
            if not lacks_locks(error):
                raise
            _remove_if_empty(path)
            raise InputError(
                f"{path.parent}: the file system has no locks, which keep a second process out of the "
                "directory; choose one on another file system (hydra.run.dir=, with -m hydra.sweep.dir=)"
            ) from error
        if not is_locked:
            file.close()
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                break
        file.close()  # its holder has removed the file after it was opened here
    if not is_inherited:
        closing_in_forks(file.close)
    return file


def _remove_if_empty(path: Path) -> None:
    with suppress(OSError):
        if not path.stat().st_size:
            path.unlink()


@contextmanager
def holding_lock(path: Path) -> Iterator[None]:
    """Returns a context that holds the lock of a file; waits for the processes that hold it before.

    Raises:
        InputError: the file system has no locks.
        OSError: the file cannot be opened.
    """
    while (file := take_lock(path)) is None:
        time.sleep(SECONDS_BETWEEN_TRIES)
    with file:
        yield


def lacks_locks(error: BaseException) -> bool:
    """Returns True for the error of a lock on a file system without locks."""
    is_refused = isinstance(error, OSError) and error.errno in NO_LOCKS
    return is_refused or isinstance(error, NotImplementedError)


@contextmanager
def without_locks() -> Iterator[None]:
    """Returns a context in which a lock is not needed: on a file system without locks it is not taken."""
    try:
        yield
    except (OSError, NotImplementedError) as error:
        if not lacks_locks(error):
            raise

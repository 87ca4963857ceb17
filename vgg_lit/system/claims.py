"""Claims of directories: at most one process at a time trains in a directory.

claim(path)      # False if another process holds it
release(path)    # otherwise released when this process ends
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from vgg_lit.errors import InputError, TrainingError
from vgg_lit.system.locks import take_lock

LOCK = ".lock"
"""Name of the lock file in a claimed directory."""

_held: dict[Path, TextIO] = {}
"""The open lock files of this process, by directory."""


def claim(path: Path) -> bool:
    """Claims a directory for this process; returns False if another process holds it.

    Raises:
        InputError: the directory cannot be written, or its file system has no locks.
    """
    if is_held(path):
        return True
    try:
        file = take_lock(path / LOCK, is_inherited=False)
    except OSError as error:
        raise InputError(f"{path}: the directory cannot be written ({error.strerror})") from error
    if file is None:
        return False
    _held[path.resolve()] = file
    return True


def is_held(path: Path) -> bool:
    """Returns True if this process holds the claim of a directory."""
    return path.resolve() in _held


def is_claimed_elsewhere(path: Path) -> bool:
    """Returns True if another process holds the claim of a directory.

    Raises:
        InputError: the directory cannot be written.
    """
    if is_held(path):
        return False
    is_free = claim(path)
    release(path)
    return not is_free


def release(path: Path) -> None:
    """Ends a claim, if this process holds it; removes a directory that holds no file but the lock's."""
    file = _held.pop(path.resolve(), None)
    if file is None:
        return
    try:
        with file:
            if _is_same_file(file, path / LOCK):  # otherwise another process has it by now
                _remove_if_empty(path)
    except PermissionError:  # Windows does not remove an open file, also not one of another process
        with suppress(OSError):
            _remove_if_empty(path)
    except OSError:
        pass


def _remove_if_empty(path: Path) -> None:
    if os.listdir(path) == [LOCK]:
        (path / LOCK).unlink()
        path.rmdir()


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Returns a context in which no other process trains in a directory, from before its first file is written.

    A claim that this process holds already is kept at the end.

    Raises:
        InputError: another process is training in the directory, or it cannot be written.
    """
    if is_held(path):
        yield
        return
    if not claim(path):
        raise InputError(
            f"{path}: another process is training this run; wait until it ends, or choose another directory"
        )
    try:
        yield
    finally:
        release(path)


def check_in_place(file: Path) -> None:
    """Checks that the claimed directories above a file were not renamed or removed by another process.

    Otherwise a write would create the directory again, and the files of one run would be in two places.

    Raises:
        TrainingError: one was.
    """
    folders = file.resolve().parents if _held else ()
    for folder, held in list(_held.items()):
        if folder in folders and not held.closed and not _is_same_file(held, folder / LOCK):
            raise TrainingError(
                f"{folder}: was renamed or removed during the training; a renamed run continues from its "
                "last checkpoint with resume=<new path>"
            )


def _is_same_file(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def rename_claimed(path: Path, new: Path) -> None:
    """Renames a directory; a claim of this process stays with the old path, for a new directory there.

    Raises:
        OSError: the directory cannot be renamed, or another process has claimed the path meanwhile.
    """
    path_held = path.resolve()
    try:
        path.rename(new)
    except PermissionError:  # Windows does not rename a folder with an open file
        held = _held.pop(path_held, None)
        if held is None:
            raise
        held.close()
        path.rename(new)
    else:
        held = _held.pop(path_held, None)
    if held is not None:
        try:
            if not claim(path):
                raise OSError(f"{path}: another process has claimed it")
        finally:
            held.close()

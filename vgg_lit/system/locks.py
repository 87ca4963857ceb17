"""File locks between processes."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from filelock import lock_descriptor

from vgg_lit.system.operating_system import closing_in_forks


def take_lock(path: Path, is_inherited: bool = True) -> TextIO | None:
    """Opens a file and locks it until it is closed; None if another process holds the lock.

    Args:
        path: the lock file; it is created if needed.
        is_inherited: a process that inherits the descriptor holds the lock too, so that processes left
            behind by a killed parent still count. False releases it in forked children, such as
            the workers of a data loader.

    Raises:
        OSError: the file cannot be opened.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = path.open("a", encoding="utf-8")
        except FileNotFoundError:  # its holder has just removed the folder
            continue
        if not lock_descriptor(file.fileno(), blocking=False):
            file.close()
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                break
        file.close()  # its holder has removed the file after it was opened here
    if not is_inherited:
        closing_in_forks(file.close)
    return file

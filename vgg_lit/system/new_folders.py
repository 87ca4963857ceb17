"""Folders that a command makes before its checks, and removes if the checks fail.

make_folder(path)         # logs/runs/vgg16_bn/<time>, with the missing ones of logs, runs and vgg16_bn
remove_if_unused(path)    # those of them that are empty
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

ATTEMPTS = 10
"""Times that a folder is made, if other processes make and remove its parents meanwhile."""

_made: dict[Path, list[Path]] = {}
"""The folders that this process has made, the innermost first, by path."""


def make_folder(path: Path) -> None:
    """Makes a folder and its parents, also while other processes make and remove empty parents.

    Raises:
        OSError: a folder cannot be made.
    """
    path = _absolute(path)
    made = _made.setdefault(path, [])
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            for folder in (*reversed(path.parents), path):
                if not folder.is_dir():
                    folder.mkdir()
                    made.insert(0, folder)
            return
        except (FileExistsError, FileNotFoundError):
            if not attempts_left:
                raise


def remove_if_unused(path: Path, files: Sequence[str] = ()) -> None:
    """Removes a folder and its parents, as far as `make_folder` has made them and they are empty.

    Only the process that made a folder removes it, and the system refuses to remove a folder that another
    process has written to meanwhile.

    Args:
        path: the folder.
        files: names of files in it that are removed too, if `make_folder` has made the folder.
    """
    path = _absolute(path)
    made = _made.pop(path, [])
    for file in files if path in made else ():
        with suppress(OSError):
            (path / file).unlink()
    for folder in made:
        with suppress(OSError):
            folder.rmdir()


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))

"""The entries of the image cache: their sizes and their removal.

for entry in cache_entries(cache_folder()):
    print(entry.name, entry.nbytes)
"""

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from vgg_lit.system.files import temporaries
from vgg_lit.system.locks import without_locks


@dataclass(frozen=True)
class CacheEntry:
    """Decoded images of one data set.

    Attributes:
        array: file of the pixels.
        files: all files of the entry.
        nbytes: their size together.
        written: time of the last write.
    """

    array: Path
    files: tuple[Path, ...]
    nbytes: int
    written: datetime

    def remove(self) -> bool:
        """Deletes the files; returns False if a process is filling the entry."""
        lock_file = self.array.with_suffix(".lock")
        lock = FileLock(lock_file, mode=0o666)
        try:
            with without_locks():
                lock.acquire(timeout=0)
        except Timeout:
            return False
        try:
            for file in self.files:
                if file != lock_file:
                    file.unlink(missing_ok=True)
            is_left = not _removed(lock_file)
        finally:
            lock.release()
        if is_left:
            _removed(lock_file)
        return True


def _removed(file: Path) -> bool:
    """Removes a file; returns False if it is open and the system is Windows."""
    try:
        file.unlink(missing_ok=True)
    except PermissionError:
        return False
    return True


def cache_entries(folder: Path) -> Iterator[CacheEntry]:
    """Yields the entries of a cache folder, sorted by name."""
    arrays = {file.with_suffix(".npy") for file in folder.glob("*.lock")}
    for array in sorted(arrays.union(folder.glob("*.npy"))):
        files = tuple(
            file
            for file in sorted([*folder.glob(f"{glob.escape(array.stem)}.*"), *temporaries(array)])
            if file.is_file()
        )
        if files:
            stats = [file.stat() for file in files]
            written = datetime.fromtimestamp(max(stat.st_mtime for stat in stats))
            yield CacheEntry(array, files, sum(stat.st_size for stat in stats), written)

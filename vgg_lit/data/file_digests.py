"""SHA-256 digests of image files, each computed once.

They are computed while files are decoded, or by reading the file, and stored in the image cache with the
size and the times of the file. A file whose size or times have changed is read again.

    digests = FileDigests(Path("photos"))
    digests.of(["cat/001.jpg"])         # [FileContent(size=2411, digest="9f86d0...")]
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vgg_lit.data import image_cache
from vgg_lit.errors import InputError
from vgg_lit.system.files import shown_path

_BLOCK = 1 << 20
_FORMAT = "digests 1"


class FileContent(NamedTuple):
    """The size in bytes and the SHA-256 of a file."""

    size: int
    digest: str


class StampedDigest(NamedTuple):
    """The digest of a file, and the size and times by which a change is noticed.

    The time of the last status change, in nanoseconds, also reveals a rename and a restored modification
    time.
    """

    size: int
    modified: int
    status_changed: int
    digest: str


def read_digest(path: str | os.PathLike[str]) -> StampedDigest:
    """Reads a file and returns its digest.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        while block := file.read(_BLOCK):
            digest.update(block)
    return StampedDigest(status.st_size, status.st_mtime_ns, status.st_ctime_ns, digest.hexdigest())


class FileDigests:
    """The stored digests of the files below a folder.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        key = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
        name = re.sub(r"[^\w.-]", "_", shown_path(root.name))[:80]
        self._file = image_cache.cache_folder() / f"{name}-{key}.digests.json"

    def add(self, digests: Mapping[str, StampedDigest]) -> None:
        """Stores digests by path relative to the folder.

        Raises:
            InputError: the cache cannot be written.
        """
        if digests:
            with image_cache.locked(self._file):
                files = self._read() | {path: list(found) for path, found in digests.items()}
                image_cache.write_record(self._file, _FORMAT, {"files": files})

    def of(self, paths: Sequence[str]) -> list[FileContent]:
        """Returns size and digest of each file; reads the files that are new or have changed.

        Raises:
            InputError: a file cannot be read, or the cache cannot be written.
        """
        stored, read = self._read(), {}
        contents = []
        root = os.fspath(self.root)
        for path in paths:
            try:
                status = os.stat(f"{root}/{path}")
                found = stored.get(path)
                stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
                if not isinstance(found, list) or len(found) != 4 or found[:3] != stamp:
                    found = read[path] = read_digest(f"{root}/{path}")
            except OSError as error:
                raise InputError(
                    f"{shown_path(self.root / path)}: cannot be read ({error.strerror})"
                ) from None
            contents.append(FileContent(found[0], found[3]))
        self.add(read)
        return contents

    def _read(self) -> dict[str, object]:
        record = image_cache.read_record(self._file, _FORMAT) or {}
        files = record.get("files")
        return files if isinstance(files, dict) else {}

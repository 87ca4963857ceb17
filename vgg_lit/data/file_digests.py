"""SHA-256 digests of image files, each computed once.

They are computed while files are decoded, or by reading the file, and stored in the image cache with a stamp:
the size and the times of the file. A file whose stamp has changed is read again.

    digests = FileDigests(Path("photos"))
    digests.of(["cat/001.jpg"])         # [FileDigest("9f86d0...", 2411, "2411/17672...")]
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from vgg_lit.data import image_cache
from vgg_lit.errors import InputError
from vgg_lit.system.files import shown_path

ABSENT = "absent"
"""The stamp of a dangling link, or of a file that was deleted."""

_BLOCK = 1 << 20
_FIRST_LINE = "digests of files, version 2, SHA-256 of the lines below: "
_MAX_BYTES = 1 << 30


class FileDigest(NamedTuple):
    """The SHA-256 of a file.

    Attributes:
        digest: the SHA-256 in hexadecimal.
        size: size of the file in bytes.
        stamp: text that reveals a change of the file.
    """

    digest: str
    size: int
    stamp: str


def stamp_of(status: os.stat_result) -> str:
    """Returns the size, the modification time and the status change time of a file as text.

    The last one also reveals a rename, and a modification time that was set back.
    """
    return f"{status.st_size}/{status.st_mtime_ns}/{status.st_ctime_ns}"


def read_stamp(path: str) -> str:
    """Returns the stamp of a file that may be absent."""
    try:
        return stamp_of(os.stat(path))
    except OSError:
        return ABSENT


def read_digest(path: str | os.PathLike[str]) -> FileDigest:
    """Reads a file and returns its digest.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        while block := file.read(_BLOCK):
            digest.update(block)
    return FileDigest(digest.hexdigest(), status.st_size, stamp_of(status))


class FileDigests:
    """The stored digests of the files below a folder.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        key = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
        name = re.sub(r"[^\w.-]", "_", shown_path(root.name))[:40]
        self._file = image_cache.cache_folder() / f"{name}-{key}.digests"

    def add(self, digests: Mapping[str, FileDigest]) -> None:
        """Stores digests by path relative to the folder.

        Raises:
            InputError: the cache cannot be written.
        """
        if not digests:
            return
        with image_cache.locked(self._file):
            stored = {**self._read(), **digests}
            columns = zip(*stored.values(), strict=True)
            lines = "\n".join(map(json.dumps, (list(stored), *columns))).encode()
            checksum = hashlib.sha256(lines).hexdigest()
            image_cache.write_bytes(self._file, f"{_FIRST_LINE}{checksum}\n".encode() + lines)
            self._stored = stored

    def of(
        self, paths: Sequence[str], stamps: Mapping[str, str] | None = None
    ) -> list[tuple[str, int, str]]:
        """Returns the values of the FileDigest of each file; reads the files that are new or have changed.

        Args:
            paths: paths relative to the folder.
            stamps: stamps of the files, if they have just been read.

        Raises:
            InputError: a file cannot be read, or the cache cannot be written.
        """
        stored, read = self._stored, {}
        digests = []
        root = os.fspath(self.root)
        for path in paths:
            found = stored.get(path)
            stamp = stamps.get(path) if stamps else None
            if found is None or found[2] != (stamp or read_stamp(f"{root}/{path}")):
                try:
                    found = read[path] = read_digest(f"{root}/{path}")
                except OSError as error:
                    raise InputError(
                        f"{shown_path(self.root / path)}: cannot be read ({error.strerror})"
                    ) from None
            digests.append(found)
        self.add(read)
        return digests

    @cached_property
    def _stored(self) -> dict[str, tuple[str, int, str]]:
        return self._read()

    def _read(self) -> dict[str, tuple[str, int, str]]:
        """Returns the values of the stored FileDigests by path; none if the file is damaged."""
        try:
            if self._file.stat().st_size > _MAX_BYTES:
                return {}
            first, _, lines = self._file.read_bytes().partition(b"\n")
        except OSError:
            return {}
        if first.decode("ascii", "replace") != _FIRST_LINE + hashlib.sha256(lines).hexdigest():
            return {}
        paths, *columns = map(json.loads, lines.split(b"\n"))
        return dict(zip(paths, zip(*columns, strict=True), strict=True))

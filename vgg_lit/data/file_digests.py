"""SHA-256 digests of image files, each computed once.

They are computed while files are decoded, or by reading the file, and stored in the image cache with a stamp:
the size and the times of the file. A file whose stamp has changed is read again.

    digests = FileDigests(Path("photos"))
    digests.of(["cat/001.jpg"])         # [FileContent(size=2411, digest="9f86d0...")]
"""

import hashlib
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
_FIRST_LINE = "digests of files, version 1"
_MAX_BYTES = 1 << 30
_LINE = re.compile(r"[0-9a-f]{64} \d+/-?\d+/-?\d+ .+")


class FileContent(NamedTuple):
    """The size in bytes and the SHA-256 of a file."""

    size: int
    digest: str


class StampedDigest(NamedTuple):
    """The digest of a file, and the stamp by which a change is noticed."""

    digest: str
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


def read_digest(path: str | os.PathLike[str]) -> StampedDigest:
    """Reads a file and returns its digest.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        stamp = stamp_of(os.fstat(file.fileno()))
        while block := file.read(_BLOCK):
            digest.update(block)
    return StampedDigest(digest.hexdigest(), stamp)


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

    def add(self, digests: Mapping[str, StampedDigest]) -> None:
        """Stores digests by path relative to the folder.

        Raises:
            InputError: the cache cannot be written.
        """
        if not digests:
            return
        with image_cache.locked(self._file):
            found = {path: f"{one.digest} {one.stamp}" for path, one in digests.items()}
            stored = self._read() | found
            lines = [f"{entry} {_escaped(path)}" for path, entry in stored.items()]
            text = "\n".join([_FIRST_LINE, *lines, ""])
            image_cache.write_bytes(self._file, text.encode("utf-8", "surrogateescape"))
            self._stored = stored

    def of(
        self, paths: Sequence[str], stamps: Mapping[str, str] | None = None
    ) -> list[FileContent]:
        """Returns size and digest of each file; reads the files that are new or have changed.

        Args:
            paths: paths relative to the folder.
            stamps: stamps of the files, if they have just been read.

        Raises:
            InputError: a file cannot be read, or the cache cannot be written.
        """
        stored, read = self._stored, {}
        contents = []
        root = os.fspath(self.root)
        for path in paths:
            stamp = stamps.get(path) if stamps else None
            stamp = stamp or read_stamp(f"{root}/{path}")
            digest, _, known = stored.get(path, "").partition(" ")
            if known != stamp:
                try:
                    digest, stamp = read[path] = read_digest(f"{root}/{path}")
                except OSError as error:
                    raise InputError(
                        f"{shown_path(self.root / path)}: cannot be read ({error.strerror})"
                    ) from None
            contents.append(FileContent(int(stamp.partition("/")[0]), digest))
        self.add(read)
        return contents

    @cached_property
    def _stored(self) -> dict[str, str]:
        return self._read()

    def _read(self) -> dict[str, str]:
        """Returns the stored digests and stamps as text by path; none if the file is damaged."""
        try:
            if self._file.stat().st_size > _MAX_BYTES:
                return {}
            text = self._file.read_bytes().decode("utf-8", "surrogateescape")
        except OSError:
            return {}
        first, *lines = text.split("\n")
        if first != _FIRST_LINE or lines[-1:] != [""]:
            return {}
        stored = {}
        for line in lines[:-1]:
            if not _LINE.fullmatch(line):
                return {}
            digest, stamp, path = line.split(" ", 2)
            stored[_unescaped(path)] = f"{digest} {stamp}"
        return stored


def _escaped(path: str) -> str:
    """Returns a path on one line."""
    return path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "r": "\r"}.get(match[1], match[1]), text)

"""Atomic file writes and digests."""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vgg_lit.system.terminal import visible


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields the path of a temporary file, which replaces `path` at the end.

    After an error `path` is unchanged; a crash at any moment leaves the last complete file. The temporary
    file is in the same folder, so that the rename is never a copy. File and folder are flushed to disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not mkstemp: its files are private to one user, and a cache or a run may be shared.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk does not set it
        raise
    _flush(path.parent)


def remove_unfinished(folder: Path) -> None:
    """Removes the temporary files of killed processes; no other process may be writing to the folder."""
    for temporary in folder.glob(".*.tmp"):
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes text to a file in UTF-8, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, content: Any) -> None:
    """Replaces a JSON file, as `replacing` does."""
    write_text(path, to_json(content))


def to_json(content: Any) -> str:
    """Formats plain values as indented JSON with a final newline."""
    return json.dumps(content, indent=2) + "\n"


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def shown_path(path: str | os.PathLike[str]) -> str:
    """Returns a path for messages, tables and class names, as `visible` does."""
    return visible(os.fspath(path))


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()

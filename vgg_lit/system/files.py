"""Atomic file writes and digests."""

import errno
import glob
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vgg_lit.errors import InputError, path_error
from vgg_lit.system.claims import check_in_place
from vgg_lit.system.operating_system import flush, longest_path, replace
from vgg_lit.system.terminal import visible

LONGEST_NAME = 100
"""Characters of a path that are left for the files of a run or a report in its folder."""

ABANDONED = 3600
"""Seconds without a write after which a temporary file is that of a killed process."""

DIGITS = "[0-9a-f]" * len(uuid.uuid4().hex)
"""Pattern of the number in the name of a temporary file."""

KEPT = LONGEST_NAME - len(f"..{uuid.uuid4().hex}.tmp")
"""Bytes of the name of a file that are in the name of its temporary file."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields the path of a temporary file, which replaces `path` at the end.

    After an error `path` is unchanged; a crash at any moment leaves the last complete file. The temporary
    file is in the same folder, so that the rename is never a copy. File and folder are flushed to disk.

    Raises:
        TrainingError: the run directory of this process was renamed or removed.
    """
    check_in_place(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        yield temporary
        flush(temporary)
        replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk does not set it
        raise
    flush(path.parent)


def check_writable(folder: Path, setting: str, remedy: str = "") -> None:
    """Checks that files can be written into a folder, without creating it.

    Args:
        folder: the folder; it is created later if needed.
        setting: the setting that names the folder, for the message.
        remedy: end of the message.

    Raises:
        InputError: the folder cannot be created or written.
    """
    check_length(folder / ("x" * LONGEST_NAME), setting)
    nearest = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        end = f"; {remedy}" if remedy else ""
        raise InputError(f"{setting}: {nearest} is not a writable folder{end}")


def check_length(path: Path, setting: str) -> None:
    """Checks that a file can have a path.

    Args:
        path: path of the file, which need not exist.
        setting: the setting that names it, for the message.

    Raises:
        InputError: the path, or a name in it, is longer than the system allows.
    """
    key = setting.partition("=")[0]
    longest = longest_path()
    for part in (path, *map(Path, path.parts)):  # a folder of the path may not exist yet
        try:
            if part is path and len(os.path.abspath(path)) > longest:
                reason = f"File name too long; the files may have {longest} characters with their folders"
                raise OSError(errno.ENAMETOOLONG, reason, str(part))
            os.lstat(part)
        except OSError as error:
            if problem := path_error(error):
                raise InputError(f"{key}={problem}") from error


def check_writable_file(path: Path, setting: str) -> None:
    """Checks that a file can be written, without creating it.

    Raises:
        InputError: it is a folder or a device, or its folder cannot be created or written.
    """
    check_length(path, setting)
    if path.is_dir():
        raise InputError(f"{setting}: is a folder; give a file")
    if path.exists() and not path.is_file():  # a device or a pipe, which the file would replace
        raise InputError(f"{setting}: is not a regular file; give a file")
    check_writable(path.parent, setting)  # also checks the length of temporary names


def check_names(folder: Path, files: Iterable[str] = (), folders: Iterable[str] = ()) -> None:
    """Checks that names in a folder are free for files and folders that are written there later.

    Args:
        folder: a folder that need not exist.
        files: names of files, which replace files of these names.
        folders: names of folders.

    Raises:
        InputError: a file has the name of a folder, or a folder that of a file.
    """
    for path in map(folder.joinpath, folders):
        if path.exists() and not path.is_dir():
            raise InputError(f"{path}: is not a folder; rename it")
    for path in map(folder.joinpath, files):
        if path.is_dir():
            raise InputError(f"{path}: is a folder, but a file is written there; rename it")


def expanded(path: str | os.PathLike[str]) -> Path:
    """Returns a path with `~` replaced by the user's home folder.

    Raises:
        InputError: the user has no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"{path}: this user has no home folder; give the whole path, or set HOME"
        ) from error


def _temporary(path: Path) -> Path:
    # Not mkstemp: its files are private to one user, and a cache or a run may be shared.
    # Its name has part of the other name, which may be as long as the system allows.
    return path.with_name(f".{first_bytes(path.name, KEPT)}.{uuid.uuid4().hex}.tmp")


def temporaries(path: Path) -> Iterator[Path]:
    """Returns the temporary files of `replacing` for a file, and for those of its name with other endings."""
    return path.parent.glob(f".{glob.escape(first_bytes(path.stem, KEPT))}.*.tmp")


def first_bytes(name: str, size: int) -> str:
    """Returns the start of a name that has at most `size` bytes."""
    return os.fsencode(name)[:size].decode("utf-8", "ignore")


def remove_unfinished(folder: Path, age: float = 0) -> None:
    """Removes the temporary files of killed processes; those of other programs stay.

    Args:
        folder: a folder that need not exist.
        age: smallest number of seconds since the last write to a file, `ABANDONED` if another process may
            be writing to the folder.
    """
    for temporary in folder.glob(f".*.{DIGITS}.tmp"):
        with suppress(OSError):  # removed meanwhile, or the folder is read-only
            if time.time() - temporary.stat().st_mtime >= age:
                temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes text to a file in UTF-8, atomically; lines end in a line feed on all systems."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Replaces a JSON file, as `replacing` does."""
    write_text(path, to_json(content))


def to_json(content: Any) -> str:
    """Formats plain values as indented JSON with a final newline."""
    return json.dumps(content, indent=2) + "\n"


def shown_path(path: str | os.PathLike[str]) -> str:
    """Returns a path for messages, tables and class names, as `visible` does."""
    return visible(os.fspath(path))


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()

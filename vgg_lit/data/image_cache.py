"""A disk cache of decoded images and their statistics: written atomically, verified when read.

An entry is an array (`.npy`) with a JSON sidecar, which holds the SHA-256 of the array's file and a
fingerprint of its inputs. Reading a missing, stale or damaged entry returns None.
"""

import hashlib
import io
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from errno import ENOSPC
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from vgg_lit.errors import InputError
from vgg_lit.system.files import expanded, replacing, sha256, temporaries
from vgg_lit.system.locks import without_locks
from vgg_lit.system.small_files import parse_json, read_json
from vgg_lit.system.terminal import visible


def cache_folder() -> Path:
    """Returns `$VGG_LIT_CACHE` if set, else `vgg_lit` in the user's cache folder.

    Raises:
        InputError: neither is known.
    """
    if folder := os.environ.get("VGG_LIT_CACHE"):
        return expanded(folder)
    try:
        return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "vgg_lit"
    except InputError as error:
        raise InputError("image cache: this user has no home folder; set VGG_LIT_CACHE") from error


def cached_array(
    path: Path,
    fingerprint: str,
    shape: tuple[int, ...],
    decode: Callable[[], Iterable[np.ndarray]],
) -> np.ndarray:
    """Returns the array of an entry; one process builds it if it is missing or stale.

    Args:
        path: file of the array.
        fingerprint: hash of its inputs.
        shape: shape of the array.
        decode: returns consecutive parts of the array, uint8.

    Raises:
        InputError: the cache cannot be written.
    """
    array = read_array(path, fingerprint, shape)
    if array is None:
        with locked(path):
            # another process may have built it in the meantime
            array = read_array(path, fingerprint, shape)
            if array is None:
                write_array(path, fingerprint, shape, decode())
                array = read_array(path, fingerprint, shape)
    if array is None:
        raise InputError(f"{path}: reads back differently than written; check the disk")
    return array


def cached_sums(path: Path, fingerprint: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Returns the pixel sums that belong to the entry `path`; one process computes them if needed.

    Raises:
        InputError: the cache cannot be written.
    """
    sidecar = path.with_suffix(".sums.json")
    sums = _read_sums(sidecar, fingerprint)
    if sums is None:
        with locked(path):
            sums = _read_sums(sidecar, fingerprint)
            if sums is None:
                sums = compute()
                write_record(sidecar, fingerprint, _with_digest(sums.tolist()))
    return sums


def _with_digest(sums: Any) -> dict[str, Any]:
    return {"sums": sums, "sha256": hashlib.sha256(json.dumps(sums).encode()).hexdigest()}


def _read_sums(path: Path, fingerprint: str) -> np.ndarray | None:
    """Returns the sums if their fingerprint and their SHA-256 match, else None."""
    record = read_record(path, fingerprint) or {}
    found = record.get("sums")
    if found is None or record.get("sha256") != _with_digest(found)["sha256"]:
        return None
    try:
        sums = np.array(parse_json(json.dumps(found), list[list[int]]))
    except ValueError:
        return None
    is_matrix = sums.ndim == 2 and len(set(sums.shape)) == 1
    return sums if is_matrix and sums[0, 0] > 0 else None


def read_array(path: Path, fingerprint: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """Returns the uint8 array if its fingerprint, its SHA-256 and its shape match, else None."""
    sidecar = read_record(path.with_suffix(".json"), fingerprint)
    if sidecar is None or not path.is_file() or sha256(path) != sidecar.get("sha256"):
        return None
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError):
        return None
    is_expected = isinstance(array, np.ndarray) and (array.shape, array.dtype) == (shape, np.uint8)
    return array if is_expected else None


def write_array(
    path: Path, fingerprint: str, shape: tuple[int, ...], parts: Iterable[np.ndarray]
) -> None:
    """Writes a uint8 array, given in consecutive parts, and its sidecar.

    Not through a memory map, which ends the process by SIGBUS when the disk is full.
    """
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    with _writing(path) as temporary:
        needed, free = math.prod(shape), shutil.disk_usage(path.parent).free
        if needed > free:
            raise OSError(ENOSPC, f"needs {needed / 1e6:,.1f} MB, {free / 1e6:,.1f} MB are free")
        with temporary.open("wb") as file:
            file.write(header.getvalue())
            for part in parts:
                file.write(part.tobytes())
        digest = sha256(temporary)
    write_record(path.with_suffix(".json"), fingerprint, {"sha256": digest})


def read_record(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """Returns the values that were written with this fingerprint, or None."""
    try:
        record: dict[str, Any] = read_json(path)
    except InputError:
        return None
    return record if record.get("fingerprint") == fingerprint else None


def write_record(path: Path, fingerprint: str, values: dict[str, Any]) -> None:
    """Writes JSON-serialisable values with a fingerprint."""
    with _writing(path) as temporary:
        temporary.write_text(json.dumps({"fingerprint": fingerprint, **values}), encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file of another format."""
    with _writing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock of an entry, so that of several processes only one builds it.

    Removes temporary files that killed processes left behind; their locks are released when they end. On a
    file system without locks, processes may do the same work and temporary files stay.

    Raises:
        InputError: the cache cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"), mode=0o666)
        try:
            with without_locks():
                lock.acquire(timeout=2)
        except Timeout:
            print(f"waiting for another process that fills {visible(str(path))}", file=sys.stderr)
            lock.acquire()
        if lock.is_locked:
            for unfinished in temporaries(path):
                unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _writing(path: Path) -> Iterator[Path]:
    """Calls `replacing`; raises InputError if the folder cannot be written."""
    try:
        with replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> InputError:
    remedy = "set VGG_LIT_CACHE to a writable folder"
    if error.errno == ENOSPC:
        remedy += " with more space, or stream the images with data.source.in_memory=false"
    return InputError(
        f"cannot write the image cache {path.parent} ({error.strerror or error}): {remedy}"
    )

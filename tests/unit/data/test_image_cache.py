"""The image cache returns an entry as written, only for its fingerprint, or None."""

import errno
import json
import os
import shutil

import numpy as np
import pytest
from filelock import FileLock, Timeout

from vgg_lit.data.image_cache import (
    cache_folder,
    cached_sums,
    locked,
    read_array,
    read_record,
    write_array,
)
from vgg_lit.errors import InputError
from vgg_lit.system.files import replacing

PARTS = [np.array([[0, 1, 2]], np.uint8), np.array([[3, 4, 5]], np.uint8)]


def test_an_array_is_read_as_written_only_with_its_fingerprint(tmp_path):
    path = tmp_path / "new" / "images.npy"
    write_array(path, "a", (2, 3), PARTS)
    assert read_array(path, "a", (2, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert read_array(path, "b", (2, 3)) is None
    assert sorted(p.name for p in path.parent.iterdir()) == ["images.json", "images.npy"]


def test_a_damaged_or_missing_file_reads_as_none(tmp_path):
    path = tmp_path / "images.npy"
    assert read_array(path, "a", (2, 3)) is None
    write_array(path, "a", (2, 3), PARTS)
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.write_bytes(body)
    assert read_array(path, "a", (2, 3)) is None


def test_a_failed_write_keeps_the_previous_entry(tmp_path):
    path = tmp_path / "images.npy"
    write_array(path, "a", (2, 3), PARTS)

    def broken():
        yield PARTS[0]
        raise InputError("cat.png: damaged")

    with pytest.raises(InputError, match=r"cat\.png"):
        write_array(path, "b", (2, 3), broken())
    assert read_array(path, "a", (2, 3)) is not None
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_is_one_line_before_anything_is_decoded(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=2_000_000))

    def parts():
        raise AssertionError("decoded")
        yield

    with pytest.raises(InputError, match=r"needs 3.0 MB, 2.0 MB are free.*VGG_LIT_CACHE"):
        write_array(tmp_path / "images.npy", "a", (3, 1_000_000), parts())
    assert not list(tmp_path.iterdir())


def test_an_invalid_sidecar_reads_as_none(tmp_path):
    for text in ("", "[]", "{"):
        (tmp_path / "x.json").write_text(text)
        assert read_record(tmp_path / "x.json", "a") is None


def test_the_folder_is_set_by_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("VGG_LIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "vgg_lit"


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("name", ["short", "x" * 60])
def test_temporary_files_of_killed_processes_are_removed_once_the_lock_is_held(
    waits, name, tmp_path, monkeypatch
):
    path = tmp_path / f"{name}.npy"
    with replacing(path) as temporary:
        temporary.touch()
        left = temporary.with_name(f"{temporary.name[:-12]}00000000.tmp")
        left.touch()
    acquire, calls = FileLock.acquire, []

    def acquire_late(lock, timeout=None):
        calls.append(timeout)
        if waits and timeout is not None:
            raise Timeout(lock.lock_file)
        return acquire(lock, timeout=timeout)

    monkeypatch.setattr(FileLock, "acquire", acquire_late)
    with locked(path):
        assert not left.exists()
    assert len(calls) == 1 + waits


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_has_a_cache_all_the_same(number, tmp_path, monkeypatch):
    def acquire(lock, timeout=None):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with replacing(tmp_path / "a.npy") as temporary:
        temporary.touch()
        with locked(tmp_path / "a.npy"):
            assert temporary.exists()  # another process may be writing it


def test_sums_are_computed_again_after_any_change(tmp_path):
    path, expected = tmp_path / "images.npy", np.array([[4, 9], [9, 30]])
    assert cached_sums(path, "a", lambda: expected).tolist() == expected.tolist()
    assert cached_sums(path, "a", lambda: pytest.fail("computed again")).tolist() == [
        [4, 9],
        [9, 30],
    ]
    sidecar = path.with_suffix(".sums.json")
    intact = sidecar.read_text()
    for changed in (
        intact.replace("30", "31"),
        json.dumps({"fingerprint": "a", "sums": [[0, 0], [0, 0]]}),
        json.dumps({**json.loads(intact), "sums": [[1, 5], [5, 0]]}),
        json.dumps({**json.loads(intact), "sums": 3}),
    ):
        sidecar.write_text(changed)
        assert cached_sums(path, "a", lambda: expected).tolist() == expected.tolist()
        assert sidecar.read_text() == intact

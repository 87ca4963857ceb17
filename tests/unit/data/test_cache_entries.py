"""Entries of the image cache: their files, sizes and removal."""

import errno
import os
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from vgg_lit.data.cache_entries import cache_entries
from vgg_lit.system.files import replacing


def write(folder, *names, nbytes=3):
    for name in names:
        (folder / name).write_bytes(b"x" * nbytes)


def test_an_entry_has_all_files_of_its_name_alone(tmp_path):
    write(tmp_path, "a-1.npy", "a-1.json", "a-1.sums.json", ".a-1.npy.0f.tmp", "a-12.npy")
    write(tmp_path, "notes.txt", "a.png")
    first, second = cache_entries(tmp_path)
    assert [file.name for file in first.files] == [
        ".a-1.npy.0f.tmp",
        "a-1.json",
        "a-1.npy",
        "a-1.sums.json",
    ]
    assert first.nbytes == 12
    assert [file.name for file in second.files] == ["a-12.npy"]


def test_an_entry_with_a_long_name_has_its_temporary_files(tmp_path):
    path = tmp_path / f"{'x' * 60}.npy"
    path.touch()
    with replacing(path) as temporary:
        temporary.touch()
        (entry,) = cache_entries(tmp_path)
    assert set(entry.files) == {path, temporary}


def test_statistics_alone_are_an_entry(tmp_path):
    write(tmp_path, "a.lock", "a.sums.json")
    (entry,) = cache_entries(tmp_path)
    assert entry.array == tmp_path / "a.npy"
    assert entry.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_time_is_that_of_the_last_write(tmp_path):
    write(tmp_path, "a.npy", "a.json")
    os.utime(tmp_path / "a.json", (0, 10))
    os.utime(tmp_path / "a.npy", (0, 20))
    (entry,) = cache_entries(tmp_path)
    assert entry.written == datetime.fromtimestamp(20)


def test_a_missing_cache_has_no_entries(tmp_path):
    assert list(cache_entries(tmp_path / "nowhere")) == []


def test_an_entry_in_use_is_kept(tmp_path):
    write(tmp_path, "a.npy", "b.npy")
    a, b = cache_entries(tmp_path)
    with FileLock(tmp_path / "a.lock"):
        assert not a.remove()
        assert b.remove()
    assert (tmp_path / "a.npy").is_file()
    assert not (tmp_path / "b.npy").exists()


def test_the_lock_is_removed_also_where_open_files_cannot_be(tmp_path, monkeypatch):
    unlink = Path.unlink

    def unlink_as_on_windows(path, missing_ok=False):
        if path.suffix == ".lock" and path.exists():
            try:
                with FileLock(path, timeout=0):
                    pass
            except Timeout:
                raise PermissionError(path) from None
        unlink(path, missing_ok)

    write(tmp_path, "a.npy", "a.lock")
    (entry,) = cache_entries(tmp_path)
    monkeypatch.setattr(Path, "unlink", unlink_as_on_windows)
    assert entry.remove()
    assert not list(tmp_path.iterdir())


def test_an_entry_is_removed_on_a_file_system_without_locks(tmp_path, monkeypatch):
    def acquire(lock, timeout=None):
        raise OSError(errno.ENOLCK, "No locks available")

    write(tmp_path, "a.npy", "a.json")
    (entry,) = cache_entries(tmp_path)
    monkeypatch.setattr(FileLock, "acquire", acquire)
    assert entry.remove()
    assert not list(tmp_path.iterdir())


def test_files_that_are_gone_already_are_removed(tmp_path):
    write(tmp_path, "a.npy", "a.json")
    (entry,) = cache_entries(tmp_path)
    (tmp_path / "a.npy").unlink()
    assert entry.remove()


def test_a_file_that_vanishes_while_entries_are_listed_is_left_out(tmp_path, monkeypatch):
    write(tmp_path, "a.npy", "b.npy")
    entries = cache_entries(tmp_path)
    next(entries)
    (tmp_path / "b.npy").unlink()
    assert list(entries) == []

"""Files are replaced atomically."""

import errno
import io
import os
import stat
from pathlib import Path

import pytest
from operating_systems import posix

from vgg_lit.errors import InputError, path_error
from vgg_lit.system import files
from vgg_lit.system.files import (
    LONGEST_NAME,
    check_length,
    check_writable,
    check_writable_file,
    remove_unfinished,
    replacing,
    shown_path,
    temporaries,
    write_text,
)


def test_text_is_written_in_utf_8_and_folders_are_created(tmp_path):
    path = tmp_path / "a" / "b" / "file.txt"
    write_text(path, "Größe\n")
    assert path.read_bytes() == "Größe\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_lines_end_in_a_line_feed_on_windows_too(tmp_path, monkeypatch):
    opened = io.open

    def open_text(file, mode, buffering=-1, encoding=None, errors=None, newline=None):
        return opened(file, mode, buffering, encoding, errors, newline or "\r\n")

    monkeypatch.setattr(io, "open", open_text)
    write_text(tmp_path / "file", "a\nb\n")
    assert (tmp_path / "file").stat().st_size == 4


def test_a_failed_write_leaves_only_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write():
        with replacing(path) as temporary:
            temporary.write_text("half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_is_there_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        assert temporary.parent == path.parent
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@posix
def test_file_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o022)
    try:
        write_text(tmp_path / "file", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_a_device_or_a_pipe_is_not_replaced(tmp_path):
    for path in (Path("/dev/null"), tmp_path / "pipe"):
        if not path.exists():
            os.mkfifo(path)
        with pytest.raises(InputError, match="is not a regular file"):
            check_writable_file(path, f"output={path}")
    check_writable_file(tmp_path / "new", "output=new")


def test_two_writers_do_not_share_a_temporary_file(tmp_path):
    path = tmp_path / "file"
    with replacing(path) as first, replacing(path) as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert path.read_text() == "1"


@pytest.mark.parametrize("stem", ["a", "[a]", "x" * 49, "x" * 50, "x" * 80, "dotted.name"], ids=len)
def test_the_temporary_files_of_a_name_are_found(stem, tmp_path):
    found = []
    for ending in ("npy", "json", "sums.json"):
        with replacing(tmp_path / f"{stem}.{ending}") as temporary:
            temporary.touch()
            found += temporaries(tmp_path / f"{stem}.npy")
            assert found[-1] == temporary
    assert len(found) == 3
    with replacing(tmp_path / "another.npy") as temporary:
        temporary.touch()
        assert not list(temporaries(tmp_path / f"{stem}.npy"))


@pytest.mark.parametrize("name", ["metrics.json", "x" * 90 + ".json", "\u65e5" * 80])
def test_a_temporary_file_is_within_the_reserve_of_a_folder(name, tmp_path):
    with replacing(tmp_path / name) as temporary:
        temporary.touch()
        assert len(os.fsencode(temporary.name)) <= LONGEST_NAME


@posix
def test_only_temporary_files_of_killed_processes_are_removed(tmp_path):
    pid = os.fork()
    if pid == 0:
        with replacing(tmp_path / "file.txt") as temporary:
            temporary.write_text("half of the n")
            os._exit(9)
    os.waitpid(pid, 0)
    (begun,) = tmp_path.iterdir()
    others = {"file.txt", "file.tmp", ".file", ".notes.tmp", ".notes.0123.tmp", ".a.b.tmp"}
    for name in others:
        (tmp_path / name).touch()
    remove_unfinished(tmp_path, age=60)
    assert begun.exists()  # another process may be writing it
    remove_unfinished(tmp_path)
    assert not begun.exists()
    assert {path.name for path in tmp_path.iterdir()} == others


def test_a_path_that_is_too_long_for_windows_is_an_input_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "longest_path", lambda: 259)
    left = 259 - len(str(tmp_path)) - 1  # for a file in this folder
    check_length(Path("x" * left), "output=x")
    check_length(tmp_path / ("x" * left), "output=x")
    check_length(Path("/") / ("x" * (left + 1)), "output=x")
    check_writable(Path("x" * (left - 101)), "output=x")
    check_writable_file(Path("x" * left), "output=x")
    message = "^output=.*: cannot be used: File name too long; the files may have 259 characters"
    for check, name in (
        (check_length, "x" * (left + 1)),
        (check_writable, "x" * (left - 100)),
        (check_writable_file, "x" * (left + 1)),
        (check_writable_file, "x" * (left - 100) + "/x"),
    ):
        with pytest.raises(InputError, match=message):
            check(Path(name), f"output={name}")


@pytest.mark.parametrize("name", [".", "..", "/"])
def test_a_folder_is_no_file(name):
    with pytest.raises(InputError, match="is a folder; give a file"):
        check_writable_file(Path(name), f"output={name}")


def test_windows_has_a_number_for_long_names():
    error = FileNotFoundError(errno.ENOENT, "The filename or extension is too long", "C:\\x")
    assert path_error(error) is None
    error.winerror = 206
    assert path_error(error) == "C:\\x: cannot be used: The filename or extension is too long"


def test_names_are_shown_on_one_line_in_any_encoding():
    assert shown_path("a/b c.jpg") == "a/b c.jpg"
    assert shown_path("caf\udce9.jpg") == "caf\\xe9.jpg"
    assert shown_path("caf\u00e9.jpg") == "caf\u00e9.jpg"
    assert shown_path("a\nb\t\x1b[31m\u202e.jpg") == "a\\nb\\t\\x1b[31m\\u202e.jpg"

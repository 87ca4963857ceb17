"""Locks of files between processes."""

import errno
import os
from contextlib import contextmanager

import pytest
from operating_systems import posix

from vgg_lit.errors import InputError
from vgg_lit.system import locks
from vgg_lit.system.claims import claim, is_held
from vgg_lit.system.locks import NO_LOCKS, holding_lock, take_lock, without_locks


def test_a_lock_is_held_until_its_file_is_closed(tmp_path):
    file = take_lock(tmp_path / "new" / ".lock")
    assert take_lock(tmp_path / "new" / ".lock") is None
    file.close()
    with take_lock(tmp_path / "new" / ".lock") as again:
        assert not again.closed


def test_a_lock_leaves_the_content_of_its_file(tmp_path):
    (tmp_path / ".lock").write_text("kept")
    with take_lock(tmp_path / ".lock"):
        pass
    assert (tmp_path / ".lock").read_text() == "kept"


@posix
def test_a_file_that_its_holder_has_removed_does_not_count(tmp_path, monkeypatch):
    lock_descriptor, removals = locks.lock_descriptor, iter([True, True])

    def lock_after_removal(descriptor, blocking):
        if next(removals, False):
            (tmp_path / ".lock").unlink()
        return lock_descriptor(descriptor, blocking=blocking)

    monkeypatch.setattr(locks, "lock_descriptor", lock_after_removal)
    with take_lock(tmp_path / ".lock") as file:
        assert os.path.samestat(os.fstat(file.fileno()), (tmp_path / ".lock").stat())
        assert take_lock(tmp_path / ".lock") is None


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path):
    with pytest.raises(OSError, match=r"[Dd]irectory|Permission denied"):
        take_lock(tmp_path)


@pytest.fixture(params=NO_LOCKS)
def no_locks(request, monkeypatch):
    def fail(descriptor, blocking):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(locks, "lock_descriptor", fail)


def test_a_file_system_without_locks_is_one_line_and_leaves_no_file(no_locks, tmp_path):
    with pytest.raises(InputError, match=r": the file system has no locks.*hydra\.run\.dir"):
        take_lock(tmp_path / ".lock")
    with pytest.raises(InputError, match="has no locks"), holding_lock(tmp_path / ".lock"):
        raise AssertionError("the context was entered")
    with pytest.raises(InputError, match="has no locks"):
        claim(tmp_path)
    assert not is_held(tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / ".lock").write_text("kept")
    with pytest.raises(InputError, match="has no locks"):
        take_lock(tmp_path / ".lock")
    assert (tmp_path / ".lock").read_text() == "kept"


def test_another_error_of_a_lock_is_not_of_the_file_system(tmp_path, monkeypatch):
    def fail(descriptor, blocking):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(locks, "lock_descriptor", fail)
    with pytest.raises(OSError, match="Input/output error"):
        take_lock(tmp_path / ".lock")
    with pytest.raises(OSError, match="Input/output error"), without_locks():
        fail(0, False)


def test_a_lock_that_is_held_is_waited_for(tmp_path, monkeypatch):
    file, waits = take_lock(tmp_path / ".lock"), []

    def sleep(seconds):
        waits.append(seconds)
        file.close()

    monkeypatch.setattr(locks.time, "sleep", sleep)
    with holding_lock(tmp_path / ".lock"):
        assert take_lock(tmp_path / ".lock") is None
    assert len(waits) == 1


@contextmanager
def forked():
    """A context in which a forked process exists."""
    started, ended = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ended[1])
        os.write(started[1], b"x")
        os.read(ended[0], 1)  # until the parent closes its end
        os._exit(0)
    try:
        os.read(started[0], 1)
        yield
    finally:
        for end in (*started, *ended):
            os.close(end)
        os.waitpid(pid, 0)


@posix
@pytest.mark.parametrize("is_inherited", [True, False])
def test_a_forked_process_holds_the_lock_only_if_it_inherits_it(is_inherited, tmp_path):
    file = take_lock(tmp_path / ".lock", is_inherited)
    with forked():
        file.close()
        again = take_lock(tmp_path / ".lock")
        assert (again is None) == is_inherited
        if again:
            again.close()
    with take_lock(tmp_path / ".lock"):
        pass

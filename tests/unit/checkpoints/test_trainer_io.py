"""Checkpoints that are written during training: the same files and the same errors."""

import threading

import pytest
import torch

from vgg_lit.checkpoints import trainer_io
from vgg_lit.checkpoints.storage import SCHEMA, digests, read_checkpoint, sha256, write_checkpoint
from vgg_lit.checkpoints.trainer_io import MOST_WAITING, AtomicCheckpointIO
from vgg_lit.errors import TrainingError

LATER = {"asynchronous": True}


@pytest.fixture
def io():
    return AtomicCheckpointIO()


@pytest.fixture
def slow(monkeypatch):
    """An event; writes wait until it is set."""
    may_write = threading.Event()

    def write(*args, **kwargs):
        assert may_write.wait(60)
        write_checkpoint(*args, **kwargs)

    monkeypatch.setattr(trainer_io, "write_checkpoint", write)
    yield may_write
    may_write.set()


def state(number, size=10):
    weights = {"state_dict": {"weight": torch.full((size,), float(number))}, "steps": [number]}
    return {"vgg_lit": {"schema": SCHEMA}, **weights}


def number(path):
    content = read_checkpoint(path)
    found = int(content["state_dict"]["weight"][0])
    assert content["steps"] == [found]
    return found


def test_an_asynchronous_file_equals_a_synchronous_one(io, tmp_path):
    io.save_checkpoint(state(1), tmp_path / "at_once.ckpt")
    io.save_checkpoint(state(1), tmp_path / "later.ckpt", LATER)
    io.finish()
    at_once, later = (read_checkpoint(tmp_path / f"{name}.ckpt") for name in ("at_once", "later"))
    assert torch.equal(at_once["state_dict"]["weight"], later["state_dict"]["weight"])
    assert digests(tmp_path / "later.ckpt") == [sha256(tmp_path / "later.ckpt")]


def test_changes_after_the_save_are_not_written(io, slow, tmp_path):
    content = state(1)
    io.save_checkpoint(content, tmp_path / "last.ckpt", LATER)
    content["state_dict"]["weight"].add_(1)
    content["steps"][0] = 2
    assert not (tmp_path / "last.ckpt").exists()
    slow.set()
    io.finish()
    assert number(tmp_path / "last.ckpt") == 1


def test_files_are_written_in_order_and_the_previous_is_kept(io, tmp_path):
    options = {**LATER, "keep_as": tmp_path / "previous.ckpt"}
    for count in range(1, 8):
        io.save_checkpoint(state(count), tmp_path / "last.ckpt", options)
    io.save_checkpoint(state(8), tmp_path / "last.ckpt", {"keep_as": options["keep_as"]})
    assert number(tmp_path / "last.ckpt") == 8
    assert number(tmp_path / "previous.ckpt") == 7


def test_no_more_than_two_copies_wait(io, slow, tmp_path):
    done = []

    def save():
        for count in range(MOST_WAITING + 1):
            io.save_checkpoint(state(count), tmp_path / f"{count}.ckpt", LATER)
            done.append(count)

    thread = threading.Thread(target=save)
    thread.start()
    thread.join(0.5)
    assert done == list(range(MOST_WAITING))
    slow.set()
    thread.join(60)
    io.finish()
    assert number(tmp_path / f"{MOST_WAITING}.ckpt") == MOST_WAITING


@pytest.mark.parametrize("then", ["check", "finish", "save"])
def test_an_error_is_raised_by_the_next_call(then, io, tmp_path):
    last = tmp_path / "last.ckpt"
    io.save_checkpoint(state(1), last)
    bad = {**state(1), "state_dict": {"weight": torch.tensor([float("nan")])}}
    io.save_checkpoint(bad, last, LATER)
    io.wait(60)
    ways = {"check": io.check, "finish": io.finish, "save": lambda: io.save_checkpoint({}, last)}
    with pytest.raises(TrainingError, match="not finite"):
        ways[then]()
    assert number(last) == 1


def test_an_error_is_raised_once(io, tmp_path):
    (tmp_path / "file").touch()
    io.save_checkpoint(state(1), tmp_path / "file" / "last.ckpt", LATER)
    with pytest.raises(TrainingError, match="cannot be written"):
        io.finish()
    io.check()
    io.finish()


def test_a_check_does_not_wait(io, slow, tmp_path):
    io.save_checkpoint(state(1), tmp_path / "last.ckpt", LATER)
    io.check()
    assert not (tmp_path / "last.ckpt").exists()

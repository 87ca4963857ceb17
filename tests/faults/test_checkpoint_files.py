"""Checkpoint files survive crashes during a write, full disks, truncation and flipped bits."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from vgg_lit.checkpoints import storage
from vgg_lit.checkpoints.storage import (
    SCHEMA,
    digests,
    read_checkpoint,
    set_aside,
    sha256,
    write_checkpoint,
)
from vgg_lit.checkpoints.trainer_io import MOST_WAITING, AtomicCheckpointIO
from vgg_lit.errors import InputError, TrainingError
from vgg_lit.runs import Run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path):
    return Run.start(tmp_path / "run", {"seed": 0}, [])


def save(run, number, size=1000, write=write_checkpoint):
    content = {"state_dict": {"weight": torch.full((size,), float(number))}}
    keep_as = run.checkpoints / "previous.ckpt"
    last = run.checkpoints / "last.ckpt"
    write({"vgg_lit": {"schema": SCHEMA}, **content}, last, keep_as=keep_as)


def in_a_thread():
    """Returns a writer like that of training with `asynchronous=true`."""
    io = AtomicCheckpointIO()

    def write(content, path, keep_as):
        io.save_checkpoint(content, path, {"keep_as": keep_as, "asynchronous": True})

    return write


def number(path):
    weight = read_checkpoint(path)["state_dict"]["weight"]
    assert bool((weight == weight[0]).all())
    return int(weight[0])


def in_child(work):
    """Forks a child that runs `work` and exits; returns its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


@pytest.mark.parametrize("behind", [0, MOST_WAITING], ids=["at once", "asynchronous"])
def test_a_valid_checkpoint_is_found_after_fifty_kills_at_random_times(behind, run):
    draws = random.Random(0)
    done = 0
    for _ in range(50):
        reading, writing = os.pipe()

        def write_forever(first=done, writing=writing):
            write = in_a_thread() if behind else write_checkpoint
            for count in range(first + 1, first + 10_000):
                save(run, count, size=50_000, write=write)
                os.write(writing, b"%d\n" % count)

        pid = in_child(write_forever)
        os.close(writing)
        with os.fdopen(reading) as reported:
            # On a busy machine, no file may be written within any number of seconds.
            first = [reported.readline() for _ in range(draws.randrange(4))]
            time.sleep(draws.uniform(0, 0.05))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            saved = max([done, *map(int, first), *map(int, reported.read().split())])
        if done == 0 and not any(run.checkpoints.glob("*.ckpt")):
            continue  # killed before the first checkpoint was written
        path, damages = run.newest_checkpoint()
        assert damages == {}
        assert max(done, saved - behind) <= number(path) <= saved + 1
        done = number(path)
    assert done > 1


def test_a_valid_checkpoint_is_found_after_a_kill_at_each_step_of_a_write(run, monkeypatch):
    """Kills before each fsync and each rename, one after another."""
    save(run, 1)
    save(run, 2)
    for moment in range(100):
        calls = iter(range(1000))

        def dies(function, moment=moment, calls=calls):
            def dying(*arguments):
                if next(calls) == moment:
                    os._exit(9)
                return function(*arguments)

            return dying

        def write(dies=dies):
            monkeypatch.setattr(os, "fsync", dies(os.fsync))
            monkeypatch.setattr(Path, "replace", dies(Path.replace))
            save(run, 3)

        _, status = os.waitpid(in_child(write), 0)
        path, damages = run.newest_checkpoint()
        assert damages == {}
        assert number(path) in (2, 3)
        if os.waitstatus_to_exitcode(status) == 0:
            break
        save(run, 1)
        save(run, 2)
    assert 10 < moment < 100
    assert number(path) == 3
    for name in ("last", "previous"):
        file = run.checkpoints / f"{name}.ckpt"
        assert digests(file) == [sha256(file)]


def damaged_copies(whole):
    draws = random.Random(0)
    for part in range(20):
        yield whole[: len(whole) * part // 20]
    for _ in range(100):
        bad = bytearray(whole)
        bad[draws.randrange(len(bad))] ^= 1 << draws.randrange(8)
        yield bytes(bad)


def test_truncation_and_flipped_bits_are_detected_and_the_previous_is_used(run):
    save(run, 1)
    save(run, 2)
    last, previous = (run.checkpoints / f"{name}.ckpt" for name in ("last", "previous"))
    whole = last.read_bytes()
    for bad in damaged_copies(whole):
        last.write_bytes(bad)
        with pytest.raises(InputError, match="is damaged"):
            read_checkpoint(last)
        path, damages = run.newest_checkpoint()
        assert path == previous
        assert list(damages) == [last]
        assert number(path) == 1
    last.write_bytes(whole)
    assert run.newest_checkpoint() == (last, {})


def test_a_checkpoint_with_a_damaged_digest_is_not_used(run):
    save(run, 1)
    save(run, 2)
    (run.checkpoints / "last.ckpt.sha256").write_text("")
    assert run.newest_checkpoint()[0].name == "previous.ckpt"


def test_only_damaged_checkpoints_are_reported(run):
    save(run, 1)
    (run.checkpoints / "last.ckpt").write_bytes(b"x")
    with pytest.raises(InputError, match=r"resume=.*last\.ckpt: is damaged"):
        run.newest_checkpoint()


def test_a_damaged_checkpoint_is_set_aside_and_does_not_replace_the_previous(run):
    save(run, 1)
    save(run, 2)
    last = run.checkpoints / "last.ckpt"
    last.write_bytes(b"x")
    assert set_aside(last).name == "last.ckpt.damaged"
    save(run, 3)
    assert number(run.checkpoints / "previous.ckpt") == 1
    assert number(last) == 3


@pytest.mark.parametrize("part", ["state_dict", "current_model_state", "optimizer_states"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_non_finite_checkpoint_does_not_replace_a_finite_one(part, value, run):
    save(run, 1)
    bad = {"vgg_lit": {"schema": SCHEMA}, part: [{"w": torch.tensor([1.0, value])}]}
    last = run.checkpoints / "last.ckpt"
    with pytest.raises(TrainingError, match=r"last\.ckpt: not written: .* not finite"):
        write_checkpoint(bad, last)
    assert number(last) == 1


def test_a_failed_write_keeps_the_old_checkpoint(run):
    """A limit on the file size replaces a disk quota."""
    save(run, 1)
    save(run, 2)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(TrainingError, match=r"last\.ckpt: cannot be written: File too large"):
            save(run, 3, size=100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    path, damages = run.newest_checkpoint()
    assert (number(path), damages) == (2, {})
    assert not list(run.checkpoints.glob(".*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "space"),
    [
        (("logger=none",), "640k"),
        (("logger=none", "callbacks.checkpointing.asynchronous=true"), "640k"),
        (("callbacks.checkpointing.every_n_epochs=8",), "40k"),  # TensorBoard files fill the disk
        (("logger=none", "callbacks.checkpointing.every_n_epochs=8", "data.val_fraction=0"), "28k"),
    ],
)
def test_a_full_disk_ends_the_run_in_one_line_and_keeps_the_last_checkpoint(
    options, space, tiny, tmp_path
):
    """Trains in a mounted file system of a few kilobytes; skipped without the right to mount."""
    disk = tmp_path / "disk"
    disk.mkdir()
    settings = [*tiny, "trainer.max_epochs=9", "callbacks=[default,ema]", *options]
    script = f"""
    mount -t tmpfs -o size={space} tmpfs {disk} || exit 77
    cd {disk} && {sys.executable} -m vgg_lit.train {" ".join(map(repr, settings))} name=full
    code=$?
    cp -r logs {tmp_path} && exit $code
    """
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("needs the right to mount a file system")
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert "No space left on device" in line
    (path,) = (tmp_path / "logs/runs/full").iterdir()
    run = Run(path)
    if space == "640k":
        assert read_checkpoint(run.newest_checkpoint()[0])
    else:
        assert not list(run.path.rglob("*.ckpt"))


def test_the_digest_file_has_the_format_of_sha256sum(run):
    save(run, 1)
    last = run.checkpoints / "last.ckpt"
    text = (run.checkpoints / "last.ckpt.sha256").read_text()
    assert text == f"{storage.sha256(last)}  last.ckpt\n"

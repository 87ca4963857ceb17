"""A process whose main thread waits for ever ends with its run, as under NCCL; tested without a GPU."""

import ctypes
import gc
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from operating_systems import posix

from vgg_lit.launching import watch
from vgg_lit.launching.shared_fate import ending_together
from vgg_lit.runs import Run
from vgg_lit.system.ending_signals import ending_signals
from vgg_lit.system.launch import FIRST_PROCESS
from vgg_lit.system.status import write_status

TORCHRUN = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": "0"}


def block():
    """Waits for ever without Python's lock, as for a GPU: locks a mutex of the system twice."""
    library, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    library.pthread_mutex_init(mutex, None)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)


def trainer(world_size=2):
    launcher = SimpleNamespace(launcher=SimpleNamespace(procs=[]))
    return SimpleNamespace(
        world_size=world_size,
        global_rank=0,
        is_global_zero=True,
        callbacks=[],
        strategy=launcher,
    )


def train(trainer, path):
    with ending_signals, ending_together(trainer, path):
        ending_signals.defer()
        block()


@pytest.fixture
def run(tmp_path):
    return Run.start(tmp_path / "run", {"seed": 0}, [])


class Rank:
    """A child process that is process 0 of a run started by torchrun."""

    def __init__(self, run, work, **constants):
        self.errors = run.path / "errors.txt"
        self.pid = os.fork()
        if self.pid == 0:
            gc.disable()  # the stores of earlier tests have threads, which a fork lacks
            os.environ.pop(FIRST_PROCESS, None)
            os.environ.update(TORCHRUN)
            with self.errors.open("w") as errors:
                os.dup2(errors.fileno(), 2)
                sys.stderr = os.fdopen(2, "w", buffering=1)
                for name, value in constants.items():
                    setattr(watch, name, value)
                write_status(run.path, "running")
                work(trainer(), run.path)
            os._exit(99)
        self._wait(lambda: run.status.get("process") == self.pid)

    @staticmethod
    def _wait(condition):
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.05)

    def poll(self):
        """Returns the exit code; None while the process runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def wait(self):
        """Returns the exit code and the output."""
        found = []
        self._wait(lambda: found.append(self.poll()) or found[-1] is not None)
        return found[-1], self.errors.read_text()


@pytest.fixture
def start(run):
    """`start(train, GRACE_SECONDS=0.2)`: starts a rank; it is killed at the end."""
    ranks = []

    def start(work, **constants):
        ranks.append(Rank(run, work, **constants))
        return ranks[-1]

    yield start
    for rank in ranks:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(rank.pid, signal.SIGKILL)
            os.waitpid(rank.pid, 0)


@posix
def test_a_rank_of_a_launcher_ends_with_the_error_that_another_one_has_recorded(run, start):
    rank = start(train, GRACE_SECONDS=0.2)
    details = {"rank": 1, "exit_code": 3, "process": rank.pid}
    write_status(run.path, "failed", "OutOfMemory: too large", **details)
    assert rank.wait() == (3, "error: process 1: OutOfMemory: too large\n")
    assert run.status["reason"] == "OutOfMemory: too large"


class Group:
    """A process group whose watchdog finds a collective that does not end."""

    supports_abort_hooks = True

    def register_abort_hook(self, number, hook):
        threading.Thread(target=hook).start()


@posix
def test_a_collective_that_does_not_end_is_reported_by_torchs_watchdog(run, start):
    group = SimpleNamespace(WORLD=Group())
    fake = SimpleNamespace(is_initialized=lambda: True, group=group)
    code, errors = start(train, GRACE_SECONDS=0.2, dist=fake).wait()
    assert (code, errors) == (
        1,
        "error: TrainingError: another process does not respond (trainer.process_timeout)\n",
    )
    assert (run.status["status"], run.status["rank"]) == ("failed", 0)


@pytest.mark.skipif(
    not hasattr(dist.ProcessGroup, "register_abort_hook"), reason="needs torch 2.15 or later"
)
def test_only_groups_with_a_watchdog_take_a_hook(run, monkeypatch):
    monitor = watch.Watch(trainer(world_size=1), run.path)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        monitor._register_hook()  # gloo raises an exception instead
    finally:
        dist.destroy_process_group()
    taken = []
    nccl = SimpleNamespace(
        supports_abort_hooks=True, register_abort_hook=lambda *hook: taken.append(hook)
    )
    fake = SimpleNamespace(is_initialized=lambda: True, group=SimpleNamespace(WORLD=nccl))
    monkeypatch.setattr("vgg_lit.launching.watch.dist", fake)
    other = watch.Watch(trainer(world_size=1), run.path)
    for _ in range(2):
        monitor._register_hook()
        other._register_hook()
    assert [hook for _, hook in taken] == [other._end_unresponsive]


def raise_and_block(trainer, path):
    with ending_together(trainer, path):
        try:
            raise KeyError("labels")
        except KeyError as error:
            for callback in trainer.callbacks:
                callback.on_exception(trainer, None, error)
        block()


@posix
def test_an_error_is_recorded_before_a_teardown_that_does_not_end(run, start):
    code, errors = start(raise_and_block, SECONDS_TO_TEAR_DOWN=0.5).wait()
    assert code == 1
    assert errors.endswith("KeyError: 'labels'\nerror: KeyError: 'labels'\n")
    assert (run.status["status"], run.status["reason"]) == ("failed", "KeyError: 'labels'")


@posix
def test_a_signal_that_the_main_thread_cannot_handle_is_recorded(run, start):
    rank = start(train, SECONDS_TO_ANSWER=0.5)
    time.sleep(1)  # until its main thread is blocked
    os.kill(rank.pid, signal.SIGTERM)
    rank._wait(lambda: run.status["status"] == "failed")
    assert run.status["reason"].startswith("SIGTERM was not handled: the process waits")
    assert rank.poll() is None  # the run may still be saved


def test_ranks_together_read_the_status_at_a_limited_rate(run, monkeypatch):
    reads = []
    monkeypatch.setattr("vgg_lit.launching.watch.read_status", lambda path: reads.append(1) or {})
    monkeypatch.setenv(FIRST_PROCESS, str(os.getpid()))
    monitor = watch.Watch(trainer(world_size=100_000), run.path)
    for _ in range(20):
        assert not monitor._has_failed()
    assert len(reads) == 1
    monitor.stop(0.0)


def test_an_error_is_explained_once(run, monkeypatch):
    waits = []
    monitor = watch.Watch(trainer(), run.path)
    monkeypatch.setattr(monitor, "_wait_for_failure", lambda: waits.append(1))
    error = RuntimeError("NCCL communicator was aborted")
    assert monitor.explain(error) is monitor.explain(error)
    assert len(waits) == 1
    memory = torch.OutOfMemoryError("CUDA out of memory")
    assert monitor.explain(memory) is not monitor.explain(error)
    monitor.stop(0.0)

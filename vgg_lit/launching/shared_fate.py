"""Failure handling across ranks: one failed rank ends the run, and its error is the one reported.

A rank that waits in a collective receives no exception when another rank dies. A thread in each rank
therefore monitors other ranks: rank 0 monitors the ranks that it started, and these monitor rank 0. Ranks
that were started by a launcher are monitored by the launcher. Errors are exchanged in `status.json`.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as L

from vgg_lit.checkpoints.trainer_io import AtomicCheckpointIO
from vgg_lit.errors import (
    EXIT_BAD_INPUT,
    InputError,
    OutOfMemory,
    Preempted,
    ProcessFailed,
    TrainingError,
    disk_error,
    is_of_memory,
)
from vgg_lit.system.launch import FIRST_PROCESS, detect, rank
from vgg_lit.system.operating_system import ENDING, wake
from vgg_lit.system.status import Status, read_status, write_status
from vgg_lit.system.terminal import visible

GRACE_SECONDS = 5.0
"""Time for a rank to notice the failure of another rank and to end, before it is terminated."""

POLL_SECONDS = 0.5

SECONDS_TO_WRITE = 60.0
"""Time limit for checkpoints that are being written when the run ends."""

ERROR_OF_ANOTHER_RANK = re.compile(
    r"gloo|nccl|TCPStore|socket|timed out|connection (closed|reset|refused)|broken pipe", re.I
)
"""Matches torch's errors that are caused by another rank."""

SIGNAL_EXIT_CODES = {signum: Preempted(signum).exit_code for signum in ENDING}
"""Exit codes of a rank by signal, for ranks that are killed before they install signal handlers."""


class Failure(NamedTuple):
    """The failure of another rank: reason and exit code."""

    reason: str
    exit_code: int


@contextmanager
def ending_together(trainer: L.Trainer, path: Path) -> Iterator[None]:
    """A context in which all ranks of a run end together; records the reason in `status.json`.

    Args:
        trainer: Trainer of the run.
        path: run directory.

    Raises:
        ProcessFailed: another rank failed first.
        OutOfMemory: replaces torch's error.
        TrainingError: another rank does not respond, or a file cannot be written.
    """
    watch = Watch(trainer, path)
    if trainer.world_size > 1:
        watch.start()
    grace = GRACE_SECONDS
    hook = threading.excepthook
    threading.excepthook = lambda failed: _report_in_thread(failed, hook)
    try:
        yield
    except Preempted as stop:
        if trainer.is_global_zero:
            write_status(path, "preempted", str(stop))
        raise
    except BaseException as error:
        grace = POLL_SECONDS  # no other rank has anything to save
        ours = watch.explain(error)
        if ours is error:
            raise
        raise ours from error
    finally:
        watch.stop(grace)
        threading.excepthook = hook


def _report_in_thread(
    failed: threading.ExceptHookArgs, report: Callable[[threading.ExceptHookArgs], Any]
) -> None:
    """Reports an exception in a thread, except that of a full disk.

    TensorBoard's writer raises that one again in the main thread, which ends the run.
    """
    if not disk_error(failed.exc_value):
        report(failed)


class Watch(threading.Thread):
    """A thread that monitors other ranks of a run on this machine.

    Args:
        trainer: Trainer of the run.
        path: run directory.
    """

    def __init__(self, trainer: L.Trainer, path: Path) -> None:
        super().__init__(daemon=True, name="process-watch")
        self.path = path
        self.trainer = trainer
        self.main = int(os.environ.get(FIRST_PROCESS, os.getpid()))
        if rank() == 0:
            self.main = os.getpid()
        # A launcher monitors the ranks that it has started.
        self._is_child_of_main = detect() is None and self.main != os.getpid()
        self._is_over = threading.Event()

    def run(self) -> None:
        """Ends this process if another rank has failed and this one has not ended within `GRACE_SECONDS`."""
        while not self._is_over.wait(POLL_SECONDS):
            if self._find_ended() and not self._is_over.wait(GRACE_SECONDS):
                failure = self._find_failure()
                assert failure
                self._record(failure.reason, failure.exit_code)
                if self.main == os.getpid():
                    print(f"error: {visible(failure.reason)}", file=sys.stderr, flush=True)
                self._end_children(POLL_SECONDS)
                self._finish_checkpoints()
                os._exit(failure.exit_code)

    def stop(self, grace: float) -> None:
        """Waits for the processes that this one has started; kills them after `grace` seconds."""
        self._is_over.set()
        self._end_children(grace)

    def explain(self, error: BaseException) -> BaseException:
        """Returns the error to report for an error of this process: the first one in the run; records it."""
        if self.trainer.world_size > 1 and ERROR_OF_ANOTHER_RANK.search(str(error)):
            if failure := self._wait_for_failure():
                self._record(failure.reason, failure.exit_code)
                return ProcessFailed(failure.reason, failure.exit_code)
            error = TrainingError(
                f"another process does not respond (trainer.process_timeout): {_first_line(error)}"
            )
            if self._is_child_of_main:
                wake(self.main)  # a stopped process has to continue to end
        elif is_of_memory(error):
            error = OutOfMemory(
                f"out of memory: {_first_line(error)}; try half of data.batch_size with "
                "trainer.accumulate_grad_batches=2, model.checkpoint_blocks=true, "
                "trainer.precision=bf16-mixed, or a smaller model.width, data.image_size or model.head"
            )
        elif cause := disk_error(error):
            error = TrainingError(
                f"{cause.filename or self.path}: cannot be written: {cause.strerror}; "
                "earlier checkpoints are intact"
            )
        is_bad_input = isinstance(error, InputError)
        code = getattr(error, "exit_code", EXIT_BAD_INPUT if is_bad_input else 1)
        self._record(f"{type(error).__name__}: {error}", code)
        return error

    def _wait_for_failure(self) -> Failure | None:
        """Returns the failure of another rank, which may be visible only after its consequences."""
        deadline = time.monotonic() + GRACE_SECONDS
        while True:
            failure = self._find_failure()
            if failure or time.monotonic() > deadline:
                return failure
            time.sleep(POLL_SECONDS / 5)

    def _find_failure(self) -> Failure | None:
        """Returns the failure that another rank has recorded, else the exit code of an ended one."""
        recorded = self._recorded()
        if recorded and recorded["rank"] != self.trainer.global_rank:
            return Failure(
                f"process {recorded['rank']}: {recorded['reason']}", recorded["exit_code"]
            )
        return self._find_ended()

    def _find_ended(self) -> Failure | None:
        if self._is_child_of_main:
            return None if os.getppid() == self.main else Failure("process 0 was killed", 1)
        for number, process in enumerate(self._children(), start=1):
            if code := process.poll():
                return Failure(*_ending(number, code))
        return None

    def _recorded(self) -> dict[str, Any]:
        """Returns the failure that a rank of this run has recorded; empty if there is none."""
        status = self._status()
        return status if "rank" in status else {}

    def _status(self) -> dict[str, Any]:
        """Returns the status of this run; empty if there is none or if a newer process owns the run."""
        try:
            status = read_status(self.path)
        except InputError:
            return {}
        return status if status.get("process") == self.main else {}

    def _record(self, reason: str, exit_code: int) -> None:
        """Records a failure, unless a rank has already recorded one."""
        if self._status() and not self._recorded():
            rank = self.trainer.global_rank
            details = {"process": self.main, "rank": rank, "exit_code": exit_code}
            status: Status = "preempted" if exit_code in SIGNAL_EXIT_CODES.values() else "failed"
            with suppress(OSError):  # e.g. the disk is full; the error is reported anyway
                write_status(self.path, status, reason, **details)

    def _finish_checkpoints(self) -> None:
        """Waits for checkpoints that are being written in the background."""
        checkpoint_io = getattr(self.trainer.strategy, "checkpoint_io", None)
        if isinstance(checkpoint_io, AtomicCheckpointIO):
            checkpoint_io.wait(SECONDS_TO_WRITE)

    def _children(self) -> list[subprocess.Popen]:
        return getattr(self.trainer.strategy.launcher, "procs", [])

    def _end_children(self, grace: float) -> None:
        deadline = time.monotonic() + grace
        for process in self._children():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            process.kill()
            process.wait()


def _ending(number: int, code: int) -> tuple[str, int]:
    """Returns the reason behind an exit code of a process, and the exit code for this process."""
    if -code in SIGNAL_EXIT_CODES:
        return f"process {number} was ended by {signal.Signals(-code).name}", SIGNAL_EXIT_CODES[
            -code
        ]
    if code < 0:
        name = signal.Signals(-code).name
        hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return f"process {number} was killed by {name}{hint}", TrainingError.exit_code
    return f"process {number} ended with exit code {code}", code


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:300]

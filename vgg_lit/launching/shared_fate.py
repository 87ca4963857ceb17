"""The processes of a run: where one ends badly all do, and its error is what is told.

A process that trains with others may be waiting for them where no exception reaches it. So each looks
after the others in a thread: the first for the processes it has started, those for the first. Where a
launcher has started them it does that, and what is told passes through `status.json`.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
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
    is_of_disk,
    is_of_memory,
)
from vgg_lit.system.ending_signals import ENDING
from vgg_lit.system.launch import FIRST_PROCESS, detect, rank
from vgg_lit.system.status import Status, read_status, write_status

GRACE_SECONDS = 5.0
"""How long a process may take to find out by itself that another has ended, and to end in turn."""

POLL_SECONDS = 0.5

SECONDS_TO_WRITE = 60.0
"""How long checkpoints may take that are being written when the run ends."""

OF_ANOTHER_PROCESS = re.compile(
    r"gloo|nccl|TCPStore|socket|timed out|connection (closed|reset|refused)|broken pipe", re.I
)
"""What torch says where the fault lies with another process."""

BY_SIGNAL = {signum: Preempted(signum).exit_code for signum in ENDING}
"""The exit codes of a run that a signal ends, before it has begun to listen to it too."""


class Failure(NamedTuple):
    """How another process went wrong."""

    reason: str
    exit_code: int


@contextmanager
def shared_fate(trainer: L.Trainer, path: Path) -> Iterator[None]:
    """Within it this process and the others of its run end together; records why in `status.json`.

    Args:
        trainer: of the run.
        path: the run directory.

    Raises:
        ProcessFailed: another process went wrong first.
        OutOfMemory: in place of torch's error.
        TrainingError: a process did not answer, or a disk takes no more.
    """
    watch = Watch(trainer, path)
    if trainer.world_size > 1:
        watch.start()
    grace = GRACE_SECONDS
    try:
        yield
    except Preempted as stop:
        if trainer.is_global_zero:
            write_status(path, "preempted", str(stop))
        raise
    except BaseException as error:
        grace = POLL_SECONDS  # nobody else has anything to save
        ours = watch.explain(error)
        if ours is error:
            raise
        raise ours from error
    finally:
        watch.stop(grace)


class Watch(threading.Thread):
    """Looks after the other processes of a run on this machine.

    Args:
        trainer: of the run.
        path: the run directory.
    """

    def __init__(self, trainer: L.Trainer, path: Path) -> None:
        super().__init__(daemon=True, name="process-watch")
        self.path = path
        self.trainer = trainer
        self.main = int(os.environ.get(FIRST_PROCESS, os.getpid()))
        if rank() == 0:
            self.main = os.getpid()
        # Others are looked after by the launcher that has started them.
        self._is_child_of_main = detect() is None and self.main != os.getpid()
        self._is_over = threading.Event()

    def run(self) -> None:
        """Ends this process, should another end badly and this one not notice."""
        while not self._is_over.wait(POLL_SECONDS):
            if self._found_ended() and not self._is_over.wait(GRACE_SECONDS):
                failure = self._found()
                assert failure
                self._record(failure.reason, failure.exit_code)
                if self.main == os.getpid():
                    print(f"error: {failure.reason}", file=sys.stderr, flush=True)
                self._end_children(POLL_SECONDS)
                self._finish_checkpoints()
                os._exit(failure.exit_code)

    def stop(self, grace: float) -> None:
        """Ends the processes this one has started; after `grace` seconds by force."""
        self._is_over.set()
        self._end_children(grace)

    def explain(self, error: BaseException) -> BaseException:
        """What to say of an error that ends this process: the first error of the run; records it."""
        if self.trainer.world_size > 1 and OF_ANOTHER_PROCESS.search(str(error)):
            if failure := self._wait_for_failure():
                self._record(failure.reason, failure.exit_code)
                return ProcessFailed(failure.reason, failure.exit_code)
            error = TrainingError(
                f"another process does not answer (trainer.process_timeout): {_first_line(error)}"
            )
            if self._is_child_of_main:
                with suppress(ProcessLookupError):
                    os.kill(self.main, signal.SIGCONT)  # if it was stopped, it is to end too
        elif is_of_memory(error):
            error = OutOfMemory(
                f"out of memory: {_first_line(error)}; what helps: half of data.batch_size with "
                "trainer.accumulate_grad_batches=2, model.checkpoint_blocks=true, "
                "trainer.precision=bf16-mixed, a smaller model.width, data.image_size or model.head"
            )
        elif is_of_disk(error):
            assert isinstance(error, OSError)
            place = error.filename or self.path
            error = TrainingError(
                f"{place}: cannot be written: {error.strerror}; the checkpoints before it are whole"
            )
        is_bad_input = isinstance(error, InputError)
        code = getattr(error, "exit_code", EXIT_BAD_INPUT if is_bad_input else 1)
        self._record(f"{type(error).__name__}: {error}", code)
        return error

    def _wait_for_failure(self) -> Failure | None:
        """How the other process ended, which may show a little later than what it broke."""
        deadline = time.monotonic() + GRACE_SECONDS
        while True:
            failure = self._found()
            if failure or time.monotonic() > deadline:
                return failure
            time.sleep(POLL_SECONDS / 5)

    def _found(self) -> Failure | None:
        """How another process failed: what it has recorded itself, else how it ended."""
        recorded = self._recorded()
        if recorded and recorded["rank"] != self.trainer.global_rank:
            return Failure(
                f"process {recorded['rank']}: {recorded['reason']}", recorded["exit_code"]
            )
        return self._found_ended()

    def _found_ended(self) -> Failure | None:
        if self._is_child_of_main:
            return None if os.getppid() == self.main else Failure("process 0 was killed", 1)
        for number, process in enumerate(self._children(), start=1):
            if code := process.poll():
                return Failure(*_ending(number, code))
        return None

    def _recorded(self) -> dict[str, Any]:
        """The failure that a process of this run has recorded; empty if none has."""
        status = self._status()
        return status if "rank" in status else {}

    def _status(self) -> dict[str, Any]:
        """What this run says of itself; empty if there is none, or somebody goes on with it already."""
        try:
            status = read_status(self.path)
        except InputError:
            return {}
        return status if status.get("process") == self.main else {}

    def _record(self, reason: str, exit_code: int) -> None:
        """Records a failure, unless another process has done so before."""
        if self._status() and not self._recorded():
            rank = self.trainer.global_rank
            details = {"process": self.main, "rank": rank, "exit_code": exit_code}
            status: Status = "preempted" if exit_code in BY_SIGNAL.values() else "failed"
            with suppress(OSError):  # of a full disk, say: what goes wrong is told all the same
                write_status(self.path, status, reason, **details)

    def _finish_checkpoints(self) -> None:
        """Waits for those that are being written beside the training."""
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
    """What the exit code of a process says, and the one to end with in turn."""
    if -code in BY_SIGNAL:
        return f"process {number} was ended by {signal.Signals(-code).name}", BY_SIGNAL[-code]
    if code < 0:
        name = signal.Signals(-code).name
        hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return f"process {number} was killed by {name}{hint}", TrainingError.exit_code
    return f"process {number} ended with exit code {code}", code


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:300]

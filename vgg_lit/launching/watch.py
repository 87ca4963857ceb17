"""The thread of each rank that monitors the other ranks of its run.

A rank that waits in a collective receives no exception when another rank dies. With gloo the wait ends with
an error as soon as the connection closes, or after `trainer.process_timeout`. With NCCL the wait is on the
GPU: Python code continues until it needs a result, and then it does not return. Errors are exchanged in
`status.json`. A rank ends, and reports the first error, if

- a rank that it started has ended, or the rank that started it;
- another rank has recorded an error;
- torch's watchdog has found a collective that does not end (NCCL only);
- its own teardown does not end after an error.
"""

import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import lightning.pytorch as L
import torch.distributed as dist

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
from vgg_lit.system.ending_signals import ArrivedSignals
from vgg_lit.system.launch import FIRST_PROCESS, detect, prints_errors, rank
from vgg_lit.system.operating_system import ENDING, parent_check, wake
from vgg_lit.system.status import Status, read_status, write_status
from vgg_lit.system.terminal import visible

GRACE_SECONDS = 5.0
"""Time for a rank to notice the failure of another rank and to end, before it is terminated."""

POLL_SECONDS = 0.5

READS_PER_SECOND = 100
"""Reads of `status.json` by all ranks together: 8 ranks read it twice a second, 1,024 every ten seconds."""

SECONDS_TO_TEAR_DOWN = 30.0
"""Time limit for Lightning's teardown after an error."""

SECONDS_TO_ANSWER = 20.0
"""Time for the main thread to handle a signal; torchrun and SLURM send SIGKILL after 30 seconds."""

NO_RESPONSE = "another process does not respond (trainer.process_timeout)"

HOOK = 766
"""Number of the hook of torch's watchdog."""

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


class Watch(threading.Thread):
    """A thread that monitors the other ranks of a run.

    Ranks that were started by a launcher are monitored by the launcher, too.

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
        self._is_child_of_main = detect() is None and self.main != os.getpid()
        self._is_main_running = parent_check(self.main)
        self._is_over = threading.Event()
        self._reads_at = 0.0  # time of the next look into `status.json`
        self._is_hook_registered = False
        self._failed: BaseException | None = None  # the error of this process
        self._reported: BaseException | None = None  # the error to report for it
        self._teardown_ends = math.inf
        self._arrived = ArrivedSignals() if trainer.world_size > 1 else None

    def run(self) -> None:
        """Ends this process if the run cannot continue and the main thread does not end it."""
        while not self._is_over.wait(POLL_SECONDS):
            self._register_hook()
            self._record_unanswered_signal()
            if time.monotonic() > self._teardown_ends and self._failed:
                if not isinstance(self._reported, InputError | TrainingError):
                    traceback.print_exception(self._failed)
                self._end(self._own_failure())
            elif self._has_failed() and not self._is_over.wait(GRACE_SECONDS):
                failure = self._find_failure()
                assert failure
                self._end(failure)

    def stop(self, grace: float) -> None:
        """Waits for the processes that this one has started; kills them after `grace` seconds."""
        self._is_over.set()
        if self._arrived:
            self._arrived.close()
        self._end_children(grace)

    def limit_teardown(self) -> None:
        """Ends this process if Lightning's teardown has not ended within `SECONDS_TO_TEAR_DOWN`."""
        self._teardown_ends = time.monotonic() + SECONDS_TO_TEAR_DOWN

    def explain(self, error: BaseException) -> BaseException:
        """Returns the error to report for an error of this process: the first one in the run; records it."""
        if error is not self._failed or self._reported is None:
            self._reported = self._explain(error)
            self._failed = error
        return self._reported

    def _explain(self, error: BaseException) -> BaseException:
        is_of_others = ERROR_OF_ANOTHER_RANK.search(str(error)) and not is_of_memory(error)
        if self.trainer.world_size > 1 and is_of_others:
            if failure := self._wait_for_failure():
                self._record(failure)
                return ProcessFailed(failure.reason, failure.exit_code)
            error = TrainingError(f"{NO_RESPONSE}: {_first_line(error)}")
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
        self._record(_failure_of(error))
        return error

    def _own_failure(self) -> Failure:
        assert self._reported
        return _failure_of(self._reported)

    def _register_hook(self) -> None:
        """Lets torch's watchdog report a collective that does not end, before it aborts the process."""
        if self._is_hook_registered or not dist.is_initialized():
            return
        group = dist.group.WORLD
        if getattr(group, "supports_abort_hooks", False):  # of NCCL, from torch 2.15 on
            group.register_abort_hook(HOOK, self._end_unresponsive)  # type: ignore[union-attr]
        self._is_hook_registered = True

    def _end_unresponsive(self) -> None:
        """Ends this process, in whose main thread a collective does not end; a call of torch's watchdog."""
        if self._is_child_of_main:
            wake(self.main)
        if self._reported:
            self._end(self._own_failure())
        self._end(self._wait_for_failure() or _failure_of(TrainingError(NO_RESPONSE)))

    def _record_unanswered_signal(self) -> None:
        """Records a signal that the main thread does not handle, as the next one may be SIGKILL.

        A launcher sends both if a rank dies. If the run is saved after all, its status replaces this one.
        """
        if self._arrived and (signum := self._arrived.unanswered(SECONDS_TO_ANSWER)):
            reason = f"{signum.name} was not handled: the process waits for its device or for another process"
            self._record(Failure(reason, TrainingError.exit_code))

    def _end(self, failure: Failure) -> NoReturn:
        self._record(failure)
        if prints_errors():
            print(f"error: {visible(failure.reason)}", file=sys.stderr, flush=True)
        self._end_children(POLL_SECONDS)
        self._finish_checkpoints()
        os._exit(failure.exit_code)

    def _has_failed(self) -> bool:
        """Returns True if another rank has failed. All ranks together read `status.json` at a limited rate."""
        if self._find_ended():
            return True
        if time.monotonic() < self._reads_at:
            return False
        self._reads_at = time.monotonic() + self.trainer.world_size / READS_PER_SECOND
        return self._find_recorded() is not None

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
        return self._find_recorded() or self._find_ended()

    def _find_recorded(self) -> Failure | None:
        recorded = self._recorded()
        if not recorded or recorded["rank"] == self.trainer.global_rank:
            return None
        return Failure(f"process {recorded['rank']}: {recorded['reason']}", recorded["exit_code"])

    def _find_ended(self) -> Failure | None:
        if self._is_child_of_main:
            return None if self._is_main_running() else Failure("process 0 was killed", 1)
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

    def _record(self, failure: Failure) -> None:
        """Records a failure, unless a rank has already recorded one."""
        if self._status() and not self._recorded():
            code = failure.exit_code
            details = {"process": self.main, "rank": self.trainer.global_rank, "exit_code": code}
            status: Status = "preempted" if code in SIGNAL_EXIT_CODES.values() else "failed"
            with suppress(OSError):  # e.g. the disk is full; the error is reported anyway
                write_status(self.path, status, failure.reason, **details)

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


def _failure_of(error: BaseException) -> Failure:
    is_bad_input = isinstance(error, InputError)
    code = getattr(error, "exit_code", EXIT_BAD_INPUT if is_bad_input else TrainingError.exit_code)
    return Failure(f"{type(error).__name__}: {error}", code)


def _ending(number: int, code: int) -> tuple[str, int]:
    """Returns the reason behind an exit code of a process, and the exit code for this process."""
    if code < 0:
        name = signal.Signals(-code).name
        if -code in SIGNAL_EXIT_CODES:
            return f"process {number} was ended by {name}", SIGNAL_EXIT_CODES[-code]
        hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return f"process {number} was killed by {name}{hint}", TrainingError.exit_code
    return f"process {number} ended with exit code {code}", code


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:300]

"""A pool of concurrent jobs on this machine."""

import math
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Generic, Literal, TypeVar

from vgg_lit.errors import InputError
from vgg_lit.launching.job_process import JobProcess, Signals
from vgg_lit.system.status import read_status, write_status

POLL_SECONDS = 0.1

JobT = TypeVar("JobT")


class Pool(Generic[JobT]):
    """A fixed number of slots that each run one job at a time.

    Args:
        shares: environment variables of each slot, see `machine_shares`.
        signals: received signals; the first one ends all jobs.
        grace_seconds: time from the first signal until the remaining jobs are killed.
    """

    def __init__(
        self, shares: Sequence[Mapping[str, str]], signals: Signals, grace_seconds: float
    ) -> None:
        self.shares = shares
        self.signals = signals
        self.grace_seconds = grace_seconds
        self.running: dict[int, tuple[JobT, JobProcess]] = {}  # by slot

    @property
    def ending_signal(self) -> signal.Signals:
        """The signal that is sent to the jobs and determines the exit code: SIGINT or SIGTERM."""
        is_interrupt = self.signals.received[0] == signal.SIGINT
        return signal.SIGINT if is_interrupt else signal.SIGTERM

    def run(
        self,
        has_more: Callable[[], bool],
        start: Callable[[Mapping[str, str]], tuple[JobT, JobProcess] | None],
        finish: Callable[[JobT, JobProcess, int], None],
        look: Callable[[], object] = lambda: None,
    ) -> None:
        """Fills the slots with jobs until all jobs have ended.

        Args:
            has_more: returns True if jobs are left to start.
            start: starts the next job with the share of a slot; returns None if the job has to wait.
            finish: receives a job that has ended, and its exit code (-n for signal n).
            look: called in every iteration, every `POLL_SECONDS`.
        """
        kill_after = math.inf
        while self.running or (has_more() and not self.signals.received):
            for place, share in enumerate(self.shares):
                if (
                    place not in self.running
                    and not self.signals.received
                    and has_more()
                    and (started := start(share))
                ):
                    self.running[place] = started
            time.sleep(POLL_SECONDS)
            for place, (job, process) in list(self.running.items()):
                if (code := process.poll()) is not None:
                    del self.running[place]
                    finish(job, process, code)
            if self.signals.received and kill_after == math.inf:
                kill_after = time.monotonic() + self.grace_seconds
                for _, process in self.running.values():
                    process.send(self.ending_signal)
            if len(self.signals.received) > 1 or time.monotonic() > kill_after:
                for _, process in self.running.values():
                    process.kill()
            look()


def record_failure(
    directory: Path, process: JobProcess, code: int, is_asked: bool
) -> tuple[Literal["failed", "preempted"], str]:
    """Returns status and reason of an unfinished run that ended; records them if the run did not.

    Args:
        directory: run directory.
        process: process of the run.
        code: exit code of the process; -n for signal n.
        is_asked: True if the launcher asked the run to end.
    """
    status: Literal["failed", "preempted"] = "preempted" if is_asked else "failed"
    try:
        own = read_status(directory)
    except InputError:  # damaged
        own = {}
    if own.get("process") == process.pid and own["status"] in ("failed", "preempted"):
        return (status if is_asked else own["status"]), str(own.get("reason"))
    if code >= 0:
        reason = f"exit code {code}, {process.last_line}"
    else:
        name = signal.Signals(-code).name
        reason = f"killed by {name}"
        if name == "SIGKILL" and not is_asked:
            reason += ", as the system does when memory runs out"
    with suppress(OSError):  # e.g. the disk is full; the caller receives the reason anyway
        write_status(directory, status, reason)
    return status, reason

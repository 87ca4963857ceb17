"""Places on this machine that are kept filled with jobs, until there are none or a signal ends them."""

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
    """Runs as many jobs at a time as there are places.

    Args:
        shares: of the machine, one a place, as `machine_shares` gives them.
        signals: that end all.
        grace_seconds: from the first signal until jobs that have not ended are killed.
    """

    def __init__(
        self, shares: Sequence[Mapping[str, str]], signals: Signals, grace_seconds: float
    ) -> None:
        self.shares = shares
        self.signals = signals
        self.grace_seconds = grace_seconds
        self.running: dict[int, tuple[JobT, JobProcess]] = {}  # by place

    @property
    def ending_signal(self) -> signal.Signals:
        """The one that jobs are sent and the exit code tells of."""
        is_interrupt = self.signals.received[0] == signal.SIGINT
        return signal.SIGINT if is_interrupt else signal.SIGTERM

    def run(
        self,
        has_more: Callable[[], bool],
        start: Callable[[Mapping[str, str]], tuple[JobT, JobProcess] | None],
        finish: Callable[[JobT, JobProcess, int], None],
        look: Callable[[], object] = lambda: None,
    ) -> None:
        """Keeps every place filled until all jobs have ended.

        Args:
            has_more: whether jobs are left to start.
            start: starts the next one with a share of the machine; None if that has to wait.
            finish: is told the exit code of one that has ended, a signal's as -n.
            look: is called every so often.
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
    """Status and reason of a run that ended and is not done; records them where it could not itself.

    Args:
        directory: of the run.
        process: that it was.
        code: its exit code, a signal's as -n.
        is_asked: whether it was asked to end.
    """
    status: Literal["failed", "preempted"] = "preempted" if is_asked else "failed"
    try:
        own = read_status(directory)
    except InputError:  # damaged
        own = {}
    if own.get("process") == process.pid and own["status"] in ("failed", "preempted"):
        return (status if is_asked else own["status"]), str(own["reason"])
    if code >= 0:
        reason = f"exit code {code}, {process.last_line}"
    else:
        reason = f"killed by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL and not is_asked:
            reason += ", as the system does when memory runs out"
    with suppress(OSError):  # of a full disk, say: who asked is told all the same
        write_status(directory, status, reason)
    return status, reason

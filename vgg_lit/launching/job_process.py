"""Processes of jobs: what they inherit, what they print, and how they are brought to an end."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType

from vgg_lit.system.ending_signals import ENDING
from vgg_lit.system.launch import SWEEP_JOB

IS_WINDOWS = os.name == "nt"

# Left by distributed training, by Lightning's seeding, or by the cluster that started the sweep: with
# them a job would take itself for a part of another run.
OF_ANOTHER_RUN = (
    "RANK",
    "LOCAL_RANK",
    "GROUP_RANK",
    "ROLE_RANK",
    "NODE_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "GROUP_WORLD_SIZE",
    "ROLE_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "PL_GLOBAL_SEED",
    "PL_SEED_WORKERS",
    "SLURM_NTASKS",
)

AROUND_TRACEBACKS = (
    "Error executing job with overrides",
    "During handling of the above exception",
    "The above exception was the direct cause",
)

SECONDS_TO_FOLLOW = 5.0
"""How long the other processes of a job may take to end after its first."""


class Signals:
    """Notes the signals that end a sweep, in the order they came, and leaves acting on them to it."""

    def __init__(self) -> None:
        self.received: list[signal.Signals] = []

    def __enter__(self) -> "Signals":
        self._before = {signum: signal.signal(signum, self._note) for signum in ENDING}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.received.append(signal.Signals(signum))


def count_job_processes(devices: int | str | Sequence[int]) -> int:
    """Returns the number of processes of a job with `trainer.devices`; `auto` counts as 1."""
    return devices if isinstance(devices, int) else 1 if devices == "auto" else len(devices)


def job_environment(share: Mapping[str, str], processes: int) -> dict[str, str]:
    """The environment of a job.

    Args:
        share: what `machine_shares` says for its place.
        processes: of the job, which divide its threads.
    """
    env = {name: value for name, value in os.environ.items() if name not in OF_ANOTHER_RUN}
    env |= share
    if "OMP_NUM_THREADS" in share:
        env["OMP_NUM_THREADS"] = str(max(1, int(share["OMP_NUM_THREADS"]) // processes))
    # The very modules that this process would import, as multiprocessing gives them to its own.
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    env["PYTHONUNBUFFERED"] = "1"  # what a killed job has printed is in its log
    return env | {SWEEP_JOB: "1"}


def machine_shares(n_jobs: int) -> list[dict[str, str]]:
    """What each of `n_jobs` jobs at a time sees of the machine, as environment variables.

    A single one sees all of it. Several divide the threads that one would compute with, unless
    OMP_NUM_THREADS is set, and the GPUs; with fewer GPUs than jobs, some jobs share one.
    """
    if n_jobs == 1:
        return [{}]
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    named = range(torch.cuda.device_count()) if visible is None else visible.split(",")
    gpus = [str(gpu) for gpu in named if gpu != ""]
    shares: list[dict[str, str]] = [{} for _ in range(n_jobs)]
    for place, share in enumerate(shares):
        if "OMP_NUM_THREADS" not in os.environ:
            share["OMP_NUM_THREADS"] = str(max(1, torch.get_num_threads() // n_jobs))
        if gpus:
            size = max(1, len(gpus) // n_jobs)
            first = place * size % len(gpus)
            share["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[first : first + size])
    return shares


class JobProcess:
    """A job that runs. It writes into its log file, and what it wrote there is shown line by line.

    Through the file, not through a pipe: the job outlives a launcher that is killed, long enough to
    save its work. Its standard input is a pipe that nothing is written to; its end tells the job that
    the launcher is gone.

    Args:
        command: to start.
        env: its environment.
        log: the file; an earlier attempt's lines stay in it.
        prefix: of each line shown; None shows none.
        inherited: file descriptors that stay open in the job.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        prefix: str | None,
        inherited: Sequence[int],
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._prefix = prefix
        self._started = time.monotonic()
        self._unfinished_line = b""
        self._is_in_traceback = False
        self._last_lines: deque[str] = deque(maxlen=50)
        with log.open("ab") as output:
            self._output = log.open("rb")
            self._output.seek(0, os.SEEK_END)
            self._process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # ctrl-C comes to the launcher alone, which passes it on
                pass_fds=() if IS_WINDOWS else inherited,
            )
        self.pid = self._process.pid

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self._started

    @property
    def last_line(self) -> str:
        """What it said last; if it named an error, that."""
        lines = [line for line in self._last_lines if line]
        errors = [line for line in lines if line.startswith("error: ")]
        return (errors or lines or ["it printed nothing"])[-1].removeprefix("error: ")

    def poll(self) -> int | None:
        """Shows what it has printed since; its exit code if it has ended, a signal's as -n."""
        code = self._process.poll()
        self._show()
        if code is not None:
            self._end_the_others()
            self._show(is_last=True)
            self._output.close()
            assert self._process.stdin
            self._process.stdin.close()
        return code

    def send(self, signum: signal.Signals) -> None:
        """Asks it to end: its first process, which sees to its others."""
        if IS_WINDOWS:
            self._process.terminate()
        else:
            self._process.send_signal(signum)

    def kill(self) -> None:
        """Ends it and all processes it has started."""
        if IS_WINDOWS:
            self._process.kill()
        else:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def _end_the_others(self) -> None:
        """Waits a little for the job's other processes, then kills what is left of them."""
        deadline = time.monotonic() + SECONDS_TO_FOLLOW
        while not IS_WINDOWS and time.monotonic() < deadline:
            try:
                os.killpg(self.pid, 0)
            except (ProcessLookupError, PermissionError):
                return
            time.sleep(0.05)
        self.kill()

    def _show(self, is_last: bool = False) -> None:
        *lines, rest = (self._unfinished_line + self._output.read()).split(b"\n")
        if is_last and rest:
            lines.append(rest)
        # Of a line that overwrites itself, such as a bar, the last state is all there is to keep.
        self._unfinished_line = rest[rest.rfind(b"\r", 0, -1) + 1 :]
        for line in lines:
            text = line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", errors="replace")
            self._last_lines.append(text)
            if self._prefix is not None and not self._is_traceback(text):
                print(f"{self._prefix}{text}", flush=True)

    def _is_traceback(self, line: str) -> bool:
        """Whether a line belongs to a traceback, which is for the log: the sweep shows its last line."""
        text = re.sub(r"^\[rank\d+\]: ?", "", line)
        was_in_traceback = self._is_in_traceback
        is_head = text.startswith("Traceback (most recent call last)")
        self._is_in_traceback = is_head or (was_in_traceback and text.startswith(" "))
        return is_head or was_in_traceback or text.startswith(AROUND_TRACEBACKS)

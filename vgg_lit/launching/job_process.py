"""Processes of jobs: environment, output and termination."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType

from vgg_lit.system.launch import STARTS_RANKS, SWEEP_JOB
from vgg_lit.system.operating_system import (
    ENDING,
    ask_to_end,
    has_session_ended,
    kill_session,
    session_options,
)
from vgg_lit.system.terminal import visible

# Set by distributed training, by Lightning's seeding or by the cluster that started the sweep. A job
# that inherited them would act as a rank of another run.
VARIABLES_OF_A_RUN = (
    "RANK",
    "LOCAL_RANK",
    STARTS_RANKS,
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

TRACEBACK_NOTES = (
    "Error executing job with overrides",
    "During handling of the above exception",
    "The above exception was the direct cause",
)

MOST_LINES, MOST_EPOCHS = 7, 5
"""Limits of the lines of a job, and of the epochs among them, that its sweep shows."""

EPOCH = re.compile(r"epoch +(\d+)/(\d+) ")
FACT_OR_TABLE = re.compile(r"[a-z][a-z ]* {2,}\S|[\u2500-\u257f ]|$")
"""Lines of facts, such as `run      logs/...`, and of tables."""

SECONDS_TO_FOLLOW = 5.0
"""Time limit for the other processes of a job to end after its first process."""


class Signals:
    """A context that records the signals that end a sweep, in the order of arrival."""

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
    """Returns the environment variables of a job.

    Args:
        share: the job's entry of `machine_shares`.
        processes: number of processes in the job, which share its threads.
    """
    env = {name: value for name, value in os.environ.items() if name not in VARIABLES_OF_A_RUN}
    env |= share
    if "OMP_NUM_THREADS" in share:
        env["OMP_NUM_THREADS"] = str(max(1, int(share["OMP_NUM_THREADS"]) // processes))
    # The job imports the same modules as this process, as with multiprocessing.
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    env["PYTHONUNBUFFERED"] = "1"  # keeps the output of a killed job in its log
    env["PYTHONIOENCODING"] = "utf-8"  # the encoding of the log, on all systems
    return env | {SWEEP_JOB: "1"}


def machine_shares(n_jobs: int) -> list[dict[str, str]]:
    """Returns environment variables that divide the machine between `n_jobs` concurrent jobs.

    A single job uses the whole machine. Several jobs divide the GPUs and, unless OMP_NUM_THREADS is set,
    the threads. With fewer GPUs than jobs, some jobs share a GPU.
    """
    if n_jobs == 1:
        return [{}]
    import torch

    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    named = range(torch.cuda.device_count()) if listed is None else listed.split(",")
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
    """A running job that writes to a log file; new lines of the file are printed.

    The output is a file rather than a pipe, so that the job survives a killed launcher for long enough
    to save its work. Its standard input is an empty pipe; the end of that pipe signals that the launcher
    has ended.

    Args:
        command: command line of the job.
        env: environment variables of the job.
        log: log file; lines of an earlier attempt are kept.
        prefix: prefix of each printed line; None prints nothing.
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
        self._shown = 0
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
                **session_options(inherited),  # only the launcher receives ctrl-C and forwards it
            )
        self.pid = self._process.pid

    @property
    def seconds(self) -> float:
        """Seconds since the start of the job."""
        return time.monotonic() - self._started

    @property
    def last_line(self) -> str:
        """The last line of output that starts with "error: ", else the last line."""
        lines = [line for line in self._last_lines if line]
        errors = [line for line in lines if line.startswith("error: ")]
        return (errors or lines or ["it printed nothing"])[-1].removeprefix("error: ")

    def poll(self) -> int | None:
        """Prints new output; returns the exit code if the job has ended (-n for signal n), else None."""
        code = self._process.poll()
        self._show()
        if code is not None:
            self._end_other_processes()
            self._show(is_last=True)
            self._output.close()
            assert self._process.stdin
            self._process.stdin.close()
        return code

    def send(self, signum: signal.Signals) -> None:
        """Sends a signal to the first process of the job, which ends the others."""
        ask_to_end(self._process, signum)

    def kill(self) -> None:
        """Kills all processes of the job."""
        kill_session(self._process)

    def _end_other_processes(self) -> None:
        """Kills the other processes of the job that have not ended after `SECONDS_TO_FOLLOW`."""
        deadline = time.monotonic() + SECONDS_TO_FOLLOW
        while time.monotonic() < deadline:
            if has_session_ended(self._process):
                return
            time.sleep(0.05)
        self.kill()

    def _show(self, is_last: bool = False) -> None:
        *lines, rest = (self._unfinished_line + self._output.read()).split(b"\n")
        if is_last and rest:
            lines.append(rest)
        # A line that overwrites itself, such as a progress bar, is reduced to its last state.
        self._unfinished_line = rest[rest.rfind(b"\r", 0, -1) + 1 :]
        for line in lines:
            text = line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", errors="replace")
            self._last_lines.append(text)
            if self._prefix is not None and not self._is_traceback(text) and self._is_shown(text):
                print(f"{self._prefix}{visible(text)}", flush=True)

    def _is_shown(self, line: str) -> bool:
        """Returns True for the lines of a job that its sweep shows: some epochs, warnings and errors.

        The log has all lines. At most `MOST_LINES` are shown.
        """
        match = EPOCH.match(line)
        if self._shown >= MOST_LINES or (FACT_OR_TABLE.match(line) and not match):
            return False
        if match:
            done, total = map(int, match.groups())
            if done * MOST_EPOCHS // total == (done - 1) * MOST_EPOCHS // total:
                return False
        self._shown += 1
        return True

    def _is_traceback(self, line: str) -> bool:
        """Returns True if a line is part of a traceback, which only the log shows."""
        text = re.sub(r"^\[rank\d+\]: ?", "", line)
        was_in_traceback = self._is_in_traceback
        is_head = text.startswith("Traceback (most recent call last)")
        self._is_in_traceback = is_head or (was_in_traceback and text.startswith(" "))
        return is_head or was_in_traceback or text.startswith(TRACEBACK_NOTES)

"""A sweep directory: its jobs, each a run in a subdirectory, and their results.

sweep.json   the jobs: overrides, directory, status and reason, exit code, metrics
0/ 1/ ...    run directories of the jobs; log.txt in each is the output of the job

for job in Sweep("logs/sweeps/vgg13_bn_slim/2026-01-31_12-00-00_1f3a").jobs:
    print(job.overrides, job.status, job.metrics.get("val/acc"))
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import FailFast

from vgg_lit.errors import InputError
from vgg_lit.run_selection import LARGEST_SWEEP
from vgg_lit.runs import Run, find_run
from vgg_lit.system.files import write_text
from vgg_lit.system.locks import take_lock
from vgg_lit.system.small_files import read_json

JobStatus = Literal["waiting", "running", "done", "failed", "refused", "preempted"]


@dataclass
class Job:
    """One run of a sweep, identified by its overrides; its number gives its place in the sweep.

    `seconds` is the time of all attempts; `exit_code` or `signal` is that of the last attempt.
    """

    number: int
    overrides: list[str]
    directory: str
    status: JobStatus = "waiting"
    reason: str | None = None
    exit_code: int | None = None
    signal: str | None = None
    seconds: float = 0.0
    objective: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)


class Sweep:
    """A sweep directory, read or written.

    Args:
        path: the directory; it need not exist yet.

    Raises:
        InputError: its `sweep.json` cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.jobs: list[Job] = []
        file = self.path / "sweep.json"
        if file.exists():
            self.jobs = read_json(file, Annotated[list[Job], FailFast()], LARGEST_SWEEP)

    def write(self) -> None:
        """Writes the current state of the jobs."""
        content = [asdict(job) for job in self.jobs]
        write_text(self.path / "sweep.json", json.dumps(content, indent=2) + "\n")

    def directory(self, job: Job) -> Path:
        """Returns the run directory of a job."""
        return self.path / job.directory

    def find(self, overrides: Sequence[str]) -> Job | None:
        """Returns the job with these overrides, in any order; None if there is none."""
        wanted = sorted(overrides)
        return next((job for job in self.jobs if sorted(job.overrides) == wanted), None)

    def next_number(self) -> int:
        """Returns the number of the next new job."""
        return max((job.number for job in self.jobs), default=-1) + 1

    def add(self, overrides: Sequence[str], directory: str) -> Job:
        """Adds a new job and returns it."""
        job = Job(self.next_number(), list(overrides), directory)
        self.jobs.append(job)
        return job

    def run(self, job: Job) -> Run | None:
        """Returns the run of a job; None before the job has started."""
        return find_run(self.directory(job))

    def set_aside(self, job: Job) -> None:
        """Renames the run directory of a job, so that a retry starts fresh."""
        if run := self.run(job):
            run.set_aside()

    def label(self, job: Job) -> str:
        """Returns the overrides of a job that differ between the jobs of the sweep."""
        common = set.intersection(*(set(other.overrides) for other in self.jobs))
        own = [override for override in job.overrides if override not in common]
        return " ".join(own or job.overrides)

    @contextmanager
    def lock(self) -> Iterator[list[int]]:
        """Holds the lock of the directory, so that no second sweep runs in it.

        Yields:
            The file descriptors that hold the lock. A job that inherits them also holds the lock, so that
            a job that outlives a killed sweep is not started twice.

        Raises:
            InputError: another sweep is running in the directory.
        """
        file = take_lock(self.path / ".lock")
        if file is None:
            raise InputError(
                f"hydra.sweep.dir={self.path}: another sweep, or a job of a killed sweep, is running "
                "there; wait until it ends"
            )
        with file:
            yield [file.fileno()]

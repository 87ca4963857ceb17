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
        InputError: its `sweep.json` cannot be read, or names a directory outside the sweep, or one directory
            or number for two jobs.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.jobs: list[Job] = []
        file = self.path / "sweep.json"
        if file.exists():
            self.jobs = read_json(file, Annotated[list[Job], FailFast()], LARGEST_SWEEP)
            self._check_jobs(file)

    def _check_jobs(self, file: Path) -> None:
        used, numbers = set(), set()
        for job in self.jobs:
            if job.number < 0:
                raise InputError(
                    f"{file}: cannot be used: a job has the number {job.number}; allowed: 0, 1, ..."
                )
            if job.number in numbers:
                raise InputError(f"{file}: cannot be used: two jobs have the number {job.number}")
            numbers.add(job.number)
            if not _is_inside(job.directory):
                raise InputError(
                    f"{file}: cannot be used: the directory {job.directory!r} of job {job.number} is not "
                    "inside the sweep"
                )
            if self.directory(job) in used:
                raise InputError(
                    f"{file}: cannot be used: two jobs have the directory {job.directory!r}"
                )
            if job.status != "refused":  # it has written nothing there
                used.add(self.directory(job))

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
        """Adds a new job and returns it.

        Raises:
            InputError: the directory is not below that of the sweep.
        """
        if not _is_inside(directory):
            raise InputError(
                f"hydra.sweep.subdir={directory}: is not inside the sweep; allowed: relative paths without .."
            )
        job = Job(self.next_number(), list(overrides), directory)
        self.jobs.append(job)
        return job

    def run(self, job: Job) -> Run | None:
        """Returns the run of a job; None before the job has started."""
        return find_run(self.directory(job))

    def check_run(self, job: Job) -> None:
        """Checks that the directory of a job does not have the run of another job.

        A job that has started may have recorded other overrides, such as the path of the run that was
        `latest`; its run is refused only if it is that of another job of this sweep.

        Raises:
            InputError: it has, or the overrides of the run cannot be read.
        """
        if (run := self.run(job)) is None:
            return
        found, others = run.overrides, [other for other in self.jobs if other is not job]
        is_unstarted = job.status in ("waiting", "refused")
        if is_unstarted or any(found.are_of_job(other.overrides) for other in others):
            found.check_job(job.overrides)

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


def _is_inside(directory: str) -> bool:
    """Returns True for a path that stays below the directory of a sweep."""
    path = Path(directory)
    return bool(path.parts) and not path.anchor and ".." not in path.parts

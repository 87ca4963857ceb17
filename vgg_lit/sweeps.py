"""A sweep directory: its jobs, each a run in a directory of its own, and what became of them.

sweep.json   the jobs: overrides, directory, status and reason, exit code, metrics
0/ 1/ ...    their run directories; log.txt in each has what the job printed

for job in Sweep("logs/sweeps/vgg13_bn_slim/2026-01-31_12-00-00_1f3a").jobs:
    print(job.overrides, job.status, job.metrics.get("val/acc"))
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from vgg_lit.errors import InputError
from vgg_lit.runs import Run
from vgg_lit.system.files import write_text
from vgg_lit.system.locks import take_lock

JobStatus = Literal["waiting", "running", "done", "failed", "refused", "preempted"]


@dataclass
class Job:
    """One run of a sweep. Its overrides say which; its number only where it stands.

    `seconds` counts all its attempts; `exit_code` or `signal` is how the last one ended.
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
    """A sweep directory, read back or written.

    Args:
        path: the directory; it need not be there yet.

    Raises:
        InputError: its `sweep.json` cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.jobs: list[Job] = []
        file = self.path / "sweep.json"
        if file.is_file():
            try:
                self.jobs = [Job(**job) for job in json.loads(file.read_text(encoding="utf-8"))]
            except (OSError, ValueError, TypeError) as error:
                raise InputError(f"{file}: cannot be read: {error}") from error

    def write(self) -> None:
        """Records the jobs as they stand."""
        content = [asdict(job) for job in self.jobs]
        write_text(self.path / "sweep.json", json.dumps(content, indent=2) + "\n")

    def directory(self, job: Job) -> Path:
        """The run directory of a job."""
        return self.path / job.directory

    def find(self, overrides: Sequence[str]) -> Job | None:
        """The job with these overrides, in whatever order they were typed."""
        wanted = sorted(overrides)
        return next((job for job in self.jobs if sorted(job.overrides) == wanted), None)

    def next_number(self) -> int:
        """The number of the next job that is new."""
        return max((job.number for job in self.jobs), default=-1) + 1

    def add(self, overrides: Sequence[str], directory: str) -> Job:
        """A new job."""
        job = Job(self.next_number(), list(overrides), directory)
        self.jobs.append(job)
        return job

    def run(self, job: Job) -> Run | None:
        """The run of a job; None before it has begun."""
        try:
            return Run(self.directory(job))
        except InputError:
            return None

    def status(self, job: Job) -> dict[str, Any]:
        """What the run of a job says of itself; empty before it has begun, or if that is damaged."""
        run = self.run(job)
        try:
            return run.status if run else {}
        except InputError:
            return {}

    def set_aside(self, job: Job) -> None:
        """Makes way for a new attempt at a job, where an earlier one left a run and no checkpoint."""
        if run := self.run(job):
            run.set_aside()

    def label(self, job: Job) -> str:
        """What tells a job from the others of its sweep: the overrides that not all of them have."""
        common = set.intersection(*(set(other.overrides) for other in self.jobs))
        own = [override for override in job.overrides if override not in common]
        return " ".join(own or job.overrides)

    @contextmanager
    def lock(self) -> Iterator[list[int]]:
        """Keeps a second sweep out of this directory.

        Yields:
            The file descriptors that hold the lock: a job that inherits them holds it too, so that what
            a killed sweep left running is not started a second time.

        Raises:
            InputError: a sweep is at work here.
        """
        file = take_lock(self.path / ".lock")
        if file is None:
            raise InputError(
                f"hydra.sweep.dir={self.path}: a sweep, or a job it left behind, is at work there; "
                "wait until it has ended"
            )
        with file:
            yield [file.fileno()]

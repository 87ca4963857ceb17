"""Fixtures for sweeps whose jobs are one-line scripts instead of training runs, and a picture."""

import json
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import psutil
import pytest

from vgg_lit.launching import job_process, pool
from vgg_lit.sweeping.batch import SweepBatch
from vgg_lit.sweeps import Sweep

# Names in a job's script: its run directory `here`, the folder `common` of all jobs, and these.
JOB = """
import json, os, signal, subprocess, sys, time
from pathlib import Path

here, common = Path(sys.argv[1]), Path(sys.argv[2])

def status(name, reason=None):
    here.joinpath("config.yaml").write_text("seed: 0")
    here.joinpath("overrides.txt").write_text("".join(f"{override}\\n" for override in sys.argv[3:]))
    content = {"status": name, "reason": reason, "process": os.getpid()}
    here.joinpath("status.json").write_text(json.dumps(content))

def done(accuracy=0.5):
    here.joinpath("metrics.json").write_text(json.dumps({"val/acc": accuracy}))
    status("done")

def wait_for(name):
    while not common.joinpath(name).exists():
        time.sleep(0.01)

"""


class Swept(NamedTuple):
    """The result of a sweep."""

    code: int
    out: str
    err: str
    sweep: Sweep
    values: list
    """The JobReturn of each job, as the launcher passed it to the sweeper."""
    started: list[str]
    """The distinct overrides of the jobs that this call started."""

    @property
    def statuses(self) -> list[str]:
        return [job.status for job in self.sweep.jobs]


@pytest.fixture
def sweep(verb, monkeypatch, tmp_path) -> Callable[..., Swept]:
    """`sweep({"seed=0": "done()"}, "seed=0,1")`: runs scripts for the jobs with these overrides."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job_process, "SECONDS_TO_FOLLOW", 0.2)
    monkeypatch.setattr(pool, "POLL_SECONDS", 0.02)

    def sweep(scripts: dict[str, str], *arguments: str, path: str = "swept") -> Swept:
        started, values = [], []
        run = SweepBatch.run

        def command(batch, job, is_resumed):
            (override,) = set(scripts) & set(job.overrides)
            started.append(override)
            script = f"{JOB}is_resumed = {is_resumed}\n{scripts[override]}"
            folders = str(batch.sweep.directory(job)), str(tmp_path)
            return [sys.executable, "-c", script, *folders, *job.overrides]

        def kept(batch):
            values.extend(run(batch))
            return values[-len(batch.job_overrides) :]

        with monkeypatch.context() as patch:
            patch.setattr(SweepBatch, "_command", command)
            patch.setattr(SweepBatch, "run", kept)
            done = verb("train", "-m", *arguments, f"hydra.sweep.dir={path}")
        return Swept(*done, Sweep(tmp_path / path), values, started)

    return sweep


@pytest.fixture
def is_alive() -> Callable[[int], bool]:
    """Returns True if a process is running; a zombie is not."""

    def is_alive(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return is_alive


@pytest.fixture
def record(tmp_path) -> Callable[[str], dict]:
    """`record("swept/0")`: the status.json of a job."""
    return lambda name: json.loads((tmp_path / name / "status.json").read_text())


@pytest.fixture
def grey():
    """A grey picture of the size that `tiny_run` was trained on."""
    return np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)

"""Runs with a fault injected at a given step and rank, and comparison of runs."""

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

import torch
from nested_values import assert_same
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vgg_lit.runs import Run

ROOT = Path(__file__).resolve().parents[2]

# Injects the fault of the variable FAULT, in the form "what whom rank step", once per folder. The
# fault occurs at the start of a training batch ("what"), a validation batch ("what:validation") or a
# test batch ("what:test").
FAULTY = """
import os, signal, time
import lightning.pytorch as L
import torch

class Faulty(L.Callback):
    def __init__(self):
        self.what, self.whom, rank, step = os.environ.get("FAULT", "nothing self 0 0").split()
        self.rank, self.step = int(rank), int(step)
        self.what, _, self.when = self.what.partition(":")

    def is_due(self, trainer, when):
        if self.what == "nothing" or self.when != when or trainer.global_step != self.step:
            return False
        if trainer.global_rank != self.rank or os.path.exists("happened"):
            return False
        open("happened", "w").close()
        return True

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.act(trainer, "", batch)

    def on_validation_batch_start(self, trainer, pl_module, batch, *args):
        self.act(trainer, "validation", batch)

    def on_test_batch_start(self, trainer, pl_module, batch, *args):
        self.act(trainer, "test", batch)

    def act(self, trainer, when, batch):
        if not self.is_due(trainer, when):
            return
        if self.what == "nan":
            batch[0].fill_(float("nan"))
        elif self.what == "raise":
            raise RuntimeError("out of luck")
        elif self.what == "memory":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        elif self.what == "SIGINT-twice":
            for _ in range(2):
                os.killpg(os.getpgid(0), signal.SIGINT)
                time.sleep(1.5)
        else:
            main = os.getppid() if trainer.global_rank else os.getpid()
            signum = signal.Signals[self.what]
            if self.whom == "group":
                os.killpg(os.getpgid(0), signum)
            else:
                os.kill({"self": os.getpid(), "main": main}[self.whom], signum)
            time.sleep(0.1)
"""

# An optimiser state, a weight average, dropout and mixing: state that a resumed run could lose.
SETTINGS = (
    "model.width=0.03125",
    "model.head={hidden: [32], dropout: 0.5}",
    "data.batch_size=8",
    "data.val_fraction=0.2",
    "augment=mixup",
    "callbacks=[default,ema]",
    "callbacks.checkpointing.every_n_steps=1",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
    "trainer.process_timeout=20",  # a busy machine can stop a process for seconds
    "optimizer.lr=0.01",
    "+callbacks.faulty._target_=faulty.Faulty",
)
TRUSTED = "trusted_targets=[faulty]"  # a run directory cannot set it
RESIDENT = ("data.train_size=64", "data.test_size=16", "data.val_fraction=0.005")
STEPS = 16  # two epochs of 64 images in batches of 8


class Job:
    """A `python -m vgg_lit.train` process in a separate session."""

    def __init__(self, folder: Path, *overrides: str, fault: str = "nothing self 0 0") -> None:
        self.folder = folder
        self.errors = folder / "errors.txt"
        (folder / "faulty.py").write_text(FAULTY)
        env = {k: v for k, v in os.environ.items() if k != "HYDRA_FULL_ERROR"}
        env |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "OMP_NUM_THREADS": "1"}
        is_resumed = any(o.startswith("resume=") and o != "resume=auto" for o in overrides)
        env |= {"FAULT": fault, "XDG_CACHE_HOME": str(folder.parent / "cache")}
        with self.errors.open("a") as errors:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "vgg_lit.train",
                    *((TRUSTED,) if is_resumed else (*SETTINGS, TRUSTED)),
                    *overrides,
                ],
                cwd=folder,
                env=env,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )

    def wait(self, timeout: float = 900) -> int:
        """Returns the exit code after all processes of the session end; hangs and orphans fail.

        The limit is far above the usual 10 seconds, for a machine that is busy.
        """
        try:
            code = self.process.wait(timeout)
            deadline = time.monotonic() + 120
            while left := processes_of(self.process.pid):
                assert time.monotonic() < deadline, f"left behind: {left}"
                time.sleep(0.2)
        finally:
            for pid in processes_of(self.process.pid):
                os.kill(pid, 9)
        return code


def processes_of(session: int) -> list[int]:
    """Returns the ids of the running processes of a session."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, sid, *_ = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(sid) == session and state != "Z":
            found.append(int(status.parent.name))
    return found


def runs_in(folder: Path) -> list[Run]:
    """Returns the runs started in a folder, oldest first."""
    return [Run(file.parent) for file in sorted(folder.glob("logs/runs/*/*/config.yaml"))]


def rows(run):
    """Returns the rows of metrics.csv without the throughput columns."""
    with run.metrics_file.open() as lines:
        table = list(csv.DictReader(lines))
    return [{k: v for k, v in row.items() if not k.startswith("throughput")} for row in table]


def logged(run):
    """Returns the steps and values of each TensorBoard scalar."""
    events = EventAccumulator(str(run.path / "tensorboard"), {"scalars": 0}).Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if not tag.startswith("train/throughput") and "/final/" not in tag
    }


def assert_same_run(found, expected):
    """Asserts that weights, buffers, average, optimiser, schedule, rows and logs are bitwise equal."""
    assert rows(found) == rows(expected)
    assert logged(found) == logged(expected)
    for name in ("last", "best"):
        ours, theirs = (
            torch.load(run.checkpoint(name), weights_only=True) for run in (found, expected)
        )
        for part in (
            "epoch",
            "global_step",
            "state_dict",
            "current_model_state",
            "averaging_state",
            "optimizer_states",
            "lr_schedulers",
        ):
            assert_same(ours[part], theirs[part], f"{name}.{part}")
    tested, untested = (
        {k: v for k, v in run.metrics.items() if k.startswith("test/")} for run in (found, expected)
    )
    assert tested == untested

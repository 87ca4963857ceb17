"""Sweeps with real training, two processes per job: faults, signals, resuming. All but one are slow."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from vgg_lit.runs import Run
from vgg_lit.sweeps import Sweep
from vgg_lit.tables import read_csv

ROOT = Path(__file__).resolve().parents[2]

# In the second epoch raises, kills its process or is slow, while the folder holds `armed`.
FAULTY = """
import os, signal, time
from pathlib import Path
import lightning.pytorch as L

class Faulty(L.Callback):
    def __init__(self, folder, fault):
        self.folder, self.fault = Path(folder), fault

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch != 1 or not (self.folder / "armed").exists():
            return
        if self.fault == "raises":
            raise RuntimeError("out of luck")
        if self.fault == "killed" and trainer.is_global_zero:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault.startswith("slow"):
            time.sleep(2)
"""


@pytest.fixture
def home(tmp_path):
    """A working directory with a module of faults."""
    (tmp_path / "faulty.py").write_text(FAULTY)
    (tmp_path / "armed").touch()
    return tmp_path


@pytest.fixture
def arguments(tiny, home):
    """`arguments("ok,raises")`: the arguments of a sweep over faults."""

    def arguments(faults, *more):
        return [
            "-m",
            *tiny,
            "trainer.max_epochs=2",
            "logger=none",
            "trusted_targets=[faulty]",
            "+callbacks.faulty._target_=faulty.Faulty",
            f"+callbacks.faulty.folder={home}",
            f"+callbacks.faulty.fault={faults}",
            "hydra.sweep.dir=sweep",
            *more,
        ]

    return arguments


@pytest.fixture
def start(home):
    """Starts a sweep in a new process group and kills the group afterwards."""
    started = []

    def start(arguments):
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "vgg_lit.train", *arguments],
            cwd=home,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    for pid in processes_in(home):
        os.kill(pid, signal.SIGKILL)


def processes_in(folder):
    """The processes with this working directory."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if os.readlink(link) == str(folder):
                found.append(int(link.parent.name))
        except OSError:  # the process has just ended
            continue
    return found


def wait_until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def epochs(folder, job):
    file = folder / "sweep" / str(job) / "metrics.csv"
    return len(file.read_text().splitlines()) - 1 if file.is_file() else 0


@pytest.mark.slow
def test_failed_jobs_of_a_sweep_are_recorded_and_resumed(command, arguments, home):
    words = arguments("a,raises,b,killed,c", "trainer.devices=2")
    first = command("train", *words, cwd=home)
    assert first.code == 1
    jobs = Sweep(home / "sweep").jobs
    assert [job.status for job in jobs] == ["done", "failed", "done", "failed", "done"]
    assert jobs[1].reason == "RuntimeError: out of luck"
    assert (jobs[3].exit_code, jobs[3].signal) == (None, "SIGKILL")
    for job in jobs:
        status = Run(home / "sweep" / job.directory).status
        assert (status["status"], status["reason"]) == (job.status, job.reason)
    assert len(re.findall("^error: ", first.err, re.MULTILINE)) == 2
    assert "Traceback" not in first.out + first.err
    assert processes_in(home) == []

    (home / "armed").unlink()
    second = command("train", *words, cwd=home)
    assert second.code == 0, second.err
    assert re.findall(r"^\[(\d)\] .*: resumes in", second.out, re.MULTILINE) == ["1", "3"]
    assert [job.status for job in Sweep(home / "sweep").jobs] == ["done"] * 5
    figures = [Run(home / "sweep" / str(number)).metrics["val/loss"] for number in range(5)]
    assert figures == [figures[0]] * 5  # resumed jobs equal undisturbed ones
    assert [epochs(home, number) for number in range(5)] == [2] * 5

    third = command("train", *words, cwd=home)
    assert third.code == 0
    assert "resumes" not in third.out
    assert "starts" not in third.out


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_jobs_and_the_sweep_resumes(sent, code, start, command, arguments, home):
    words = arguments("slow1,slow2,late", "hydra.launcher.n_jobs=2", "trainer.devices=2")
    sweep = start(words)
    wait_until(lambda: epochs(home, 0) == 1 == epochs(home, 1))
    sweep.send_signal(sent)
    out, err = sweep.communicate(timeout=120)
    assert sweep.returncode == code
    wait_until(lambda: processes_in(home) == [], seconds=10)
    assert [job.status for job in Sweep(home / "sweep").jobs] == [
        "preempted",
        "preempted",
        "waiting",
    ]
    assert "Traceback" not in out + err

    (home / "armed").unlink()
    again = command("train", *words, cwd=home)
    assert again.code == 0, again.err
    assert [epochs(home, number) for number in range(3)] == [2, 2, 2]


@pytest.mark.slow
def test_a_killed_sweep_leaves_no_orphans_and_resumes(start, command, arguments, home):
    words = arguments("slow1,late", "trainer.devices=2")
    sweep = start(words)
    wait_until(lambda: epochs(home, 0) == 1)
    assert len(processes_in(home)) >= 3
    sweep.kill()
    wait_until(lambda: processes_in(home) == [], seconds=90)
    (home / "armed").unlink()
    again = command("train", *words, cwd=home)
    assert again.code == 0, again.err
    assert "[0] +callbacks.faulty.fault=slow1: resumes in" in again.out
    assert [epochs(home, number) for number in range(2)] == [2, 2]


@pytest.mark.slow
def test_runs_started_in_one_second_have_separate_directories(tiny, home, start):
    runs = [start([*tiny, "trainer.fast_dev_run=true", "logger=none"]) for _ in range(8)]
    for run in runs:
        _, err = run.communicate(timeout=170)
        assert run.returncode == 0, err
    paths = list(home.glob("logs/runs/vgg13_bn_slim/*"))
    assert len(paths) == 8
    assert {Run(path).status["status"] for path in paths} == {"done"}


def test_parallel_jobs_have_separate_directories_and_metrics(command, arguments, home):
    (home / "armed").unlink()
    words = arguments("a", "seed=0,1", "hydra.launcher.n_jobs=2")
    done = command("train", *words, cwd=home)
    assert done.code == 0, done.err
    runs = [Run(home / "sweep" / str(number)) for number in range(2)]
    assert [run.config["seed"] for run in runs] == [0, 1]
    assert runs[0].metrics["val/loss"] != runs[1].metrics["val/loss"]
    record = json.loads((home / "sweep/sweep.json").read_text())
    assert [job["objective"] for job in record] == [run.metrics["val/acc"] for run in runs]


@pytest.mark.slow
def test_seeds_and_settings_become_a_table_with_statistics(tiny, home, command):
    """Two learning rates by three seeds in one command, and the statistics in another."""
    sweep = ["-m", *tiny, "seed=0,1,2", "optimizer.lr=0.01,0.1", "hydra.sweep.dir=sweep"]
    done = command("train", *sweep, "logger=none", cwd=home)
    assert done.code == 0, done.err
    runs = {
        (Run(path).config["optimizer"]["lr"], Run(path).config["seed"]): Run(path)
        for path in (home / "sweep").glob("[0-5]")
    }
    for rate in (0.01, 0.1):
        done = command("evaluate", f"run={runs[rate, 1].path}", cwd=home)
        assert done.code == 0, done.err
    done = command("compare", "runs=sweep", cwd=home, COLUMNS="80")
    assert done.code == 0, done.err
    assert max(map(len, done.out.splitlines()[:-1])) <= 80
    assert "seed=1" in done.out

    values = {
        rate: [runs[rate, seed].metrics["test/acc"] for seed in range(3)] for rate in (0.01, 0.1)
    }
    rows = {
        (float(row["optimizer.lr"]), row["metric"]): row
        for row in read_csv(home / "comparison/groups.csv")
    }
    for rate, accuracies in values.items():
        row = rows[rate, "test/acc"]
        assert row["n"] == "3"
        assert float(row["mean"]) == pytest.approx(np.mean(accuracies))
        assert float(row["std"]) == pytest.approx(np.std(accuracies, ddof=1))
    (row,) = [
        row for row in read_csv(home / "comparison/differences.csv") if row["metric"] == "test/acc"
    ]
    first, second = (0.1, 0.01) if row["first"] == "lr=0.1" else (0.01, 0.1)
    expected = stats.ttest_rel(values[first], values[second]).pvalue
    assert float(row["p"]) == pytest.approx(expected)


@pytest.mark.slow
def test_folds_are_aggregated(tiny, home, command):
    arguments = [word for word in tiny if "val_fraction" not in word]
    sweep = ["-m", *arguments, "data.folds=3", "data.fold=0,1,2", "hydra.sweep.dir=sweep"]
    done = command("train", *sweep, "logger=none", cwd=home)
    assert done.code == 0, done.err
    images = []
    for number in range(3):
        done = command("evaluate", f"run=sweep/{number}", "split=val", cwd=home)
        assert done.code == 0, done.err
        images += [row["image"] for row in read_csv(home / f"sweep/{number}/predictions_val.csv")]
    assert sorted(images, key=int) == [str(image) for image in range(6000)]
    done = command("compare", "runs=sweep", cwd=home)
    assert done.code == 0, done.err
    assert "Mean over 3 folds" in done.out

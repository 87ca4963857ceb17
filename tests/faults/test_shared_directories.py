"""Several processes with one run directory, and jobs that are started again and again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vgg_lit.callbacks import MetricsTable
from vgg_lit.errors import TrainingError
from vgg_lit.runs import Run

ROOT = Path(__file__).resolve().parents[2]
NUMBER = "0f" * 16
"""The number in the name of a temporary file."""


@pytest.fixture
def start(tmp_path, tiny):
    """`start("seed=1")`: starts a tiny training in tmp_path without waiting for it."""

    def start(*overrides, flags=()):
        env = {k: v for k, v in os.environ.items() if k != "HYDRA_FULL_ERROR"}
        env |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "vgg_lit.train", *flags, *tiny, *overrides],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def test_one_of_three_trainings_in_a_directory_wins(start, tmp_path):
    started = {
        seed: start("hydra.run.dir=run", f"seed={seed}", "logger=none") for seed in (1, 2, 3)
    }
    errors = {seed: process.communicate()[1] for seed, process in started.items()}
    codes = {seed: process.returncode for seed, process in started.items()}
    assert sorted(codes.values()) == [0, 2, 2], errors
    (winner,) = [seed for seed, code in codes.items() if code == 0]
    run = Run(tmp_path / "run")
    assert run.config["seed"] == winner
    assert f"seed={winner}" in run.overrides.begun_with
    assert run.status["status"] == "done"
    for seed in set(codes) - {winner}:
        assert "run: another process is training this run" in errors[seed] or (
            "run: already holds a run" in errors[seed]
        )


def test_two_automatic_resumes_take_different_runs(start, tmp_path, train, tiny):
    settings = ("trainer.max_epochs=2", "logger=none")
    for name in ("2026-01-01_00-00-00_aaaa", "2026-01-02_00-00-00_bbbb"):
        path = tmp_path / f"logs/runs/vgg13_bn_slim/{name}"
        train(path, *settings).set_status("preempted", "SIGTERM")
    # More epochs are not done: the status decides; a finished checkpoint only tests again.
    both = [start(*settings, "resume=auto") for _ in range(2)]
    outs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outs
    runs = [
        next(line for line in out.splitlines() if line.startswith("run ")).split()[-1]
        for out, _ in outs
    ]
    assert len(set(runs)) == 2, runs
    third = start(*settings, "resume=auto")
    out, errors = third.communicate()
    assert third.returncode == 0, errors
    assert len(list((tmp_path / "logs/runs/vgg13_bn_slim").iterdir())) == 3
    assert "resumes  after epoch 2, step 8" not in out


@pytest.mark.slow  # eleven processes
def test_a_job_of_another_launcher_restarts_ten_times(start, tmp_path):
    command = ("hydra/launcher=basic", "hydra.sweep.dir=sweep", "seed=5", "logger=none")
    path = tmp_path / "sweep/0"
    for attempt in range(11):
        process = start(*command, "trainer.devices=1", flags=["-m"])
        _, errors = process.communicate()
        assert process.returncode == 0, (attempt, errors)
        run = Run(path)
        assert run.status["status"] == "done"
        run.set_status("preempted", "SIGTERM: saved")  # as if the scheduler requeued it
    assert run.overrides.resumed_with == []
    assert len(run.overrides.begun_with) == len(set(run.overrides.begun_with))
    assert not list(tmp_path.glob("sweep/*.attempt*"))


def test_a_refused_training_leaves_no_directory(start, tmp_path):
    process = start("hydra.run.dir=run", "data=image_folder", "data.root=nowhere")
    _, errors = process.communicate()
    assert process.returncode == 2, errors
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("change", ["renamed", "removed", "replaced"])
def test_a_run_whose_directory_is_gone_writes_no_other(
    change, train, resume, tmp_path, monkeypatch
):
    run, new = tmp_path / "run", tmp_path / "new"
    write = MetricsTable.on_train_epoch_end

    def after_a_change(self, trainer, module):
        if trainer.current_epoch == 1 and not new.exists():
            run.rename(new)
            if change == "removed":
                shutil.rmtree(new)
            if change == "replaced":
                run.mkdir()
                (run / ".lock").touch()
        write(self, trainer, module)

    monkeypatch.setattr(MetricsTable, "on_train_epoch_end", after_a_change)
    with pytest.raises(TrainingError, match="was renamed or removed during the training"):
        train(run, "trainer.max_epochs=3", "logger=none")
    if change == "replaced":
        assert [file.name for file in run.iterdir()] == [".lock"]
    else:
        assert not run.exists()
    if change == "renamed":
        assert len(Run(new).epochs()) == 1
        resume(Run(new))
        assert len(Run(new).epochs()) == 3
        assert Run(new).is_done()


def test_a_start_removes_the_temporary_files_of_a_killed_attempt(tmp_path, train, resume):
    run = train(tmp_path / "run", "logger=none")
    for name in (".metrics.json", ".status.json", "checkpoints/.last.ckpt"):
        (run.path / f"{name}.{NUMBER}.tmp").write_text("half")
    resume(run, "trainer.max_epochs=2")
    assert not list(run.path.rglob("*.tmp"))


def test_a_new_run_removes_temporary_files_in_its_directory(tmp_path, train):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / f".config.yaml.{NUMBER}.tmp").write_text("half")
    train(folder, "logger=none")
    assert not list(folder.glob(".*.tmp"))
    shutil.rmtree(folder)

"""Sweeps on the submitit and Ray launchers, which receive the verb as a pickled task."""

import json
import pickle
from importlib.util import find_spec
from pathlib import Path

import pytest

from vgg_lit.config.command import GuardedTask
from vgg_lit.errors import InputError, Preempted, TrainingError
from vgg_lit.runs import Run
from vgg_lit.training.resuming import begun_job


def installed(name):
    return find_spec("hydra_plugins") and find_spec(f"hydra_plugins.hydra_{name}_launcher")


def refuses(config):
    raise InputError("seed=x: no")


def is_ended(config):
    raise Preempted(15, "saved at step 3")


def test_a_pickled_task_raises_its_errors():
    for task, kind, message in (
        (refuses, InputError, "seed=x: no"),
        (is_ended, TrainingError, "step 3"),
    ):
        here, there = GuardedTask(task), pickle.loads(pickle.dumps(GuardedTask(task)))
        with pytest.raises(kind, match=message):
            there(None)
        if kind is InputError:
            assert here(None) is None
            assert here.refused == [message]


@pytest.fixture
def begun(tiny_run, tmp_path):
    """The directory and the overrides of a job that has started."""
    overrides = (tiny_run.path / "overrides.txt").read_text().splitlines()
    return tiny_run.path, overrides


def test_a_restarted_job_is_resumed(begun, tmp_path):
    path, overrides = begun
    assert begun_job(path, overrides).path == path
    assert begun_job(tmp_path, overrides) is None
    with pytest.raises(InputError, match=r"contains another job \(.*\); to resume a sweep"):
        begun_job(path, ["seed=7"])


def test_a_job_without_checkpoint_is_set_aside(tmp_path):
    run = Run.start(tmp_path / "sweep" / "0", {"seed": 0}, ["seed=0"])
    assert begun_job(run.path, ["seed=0"]) is None
    assert not run.path.exists()
    assert (tmp_path / "sweep/0.attempt1/config.yaml").is_file()


@pytest.mark.parametrize("damage", ["no checkpoint", "a damaged checkpoint"])
def test_a_finished_job_needs_no_checkpoint(damage, tmp_path):
    run = Run.start(tmp_path / "sweep" / "0", {"seed": 0}, ["seed=0"])
    if damage == "a damaged checkpoint":
        run.checkpoints.mkdir()
        (run.checkpoints / "last.ckpt").write_text("x")
    run.write_metrics({"val/acc": 0.5})
    run.set_status("done")
    assert begun_job(run.path, ["seed=0"]).is_done()
    run.set_status("failed")
    assert begun_job(run.path, ["seed=0"]) is None
    assert not run.path.exists()


def test_a_job_without_final_metrics_is_not_done(tmp_path, capsys):
    run = Run.start(tmp_path / "0", {"seed": 0}, ["seed=0"])
    run.set_status("done")
    assert not run.is_done()
    for name in ("metrics.json", "status.json"):
        (run.path / name).write_text("{")
        assert not run.is_done()
        assert f"{name}: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("launcher", ["basic", "process"])
def test_a_sweep_without_checkpoints_trains_each_job_once(
    launcher, verb, tiny, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    words = ["-m", *tiny, "seed=0,1", "logger=none", "callbacks=none", "hydra.sweep.dir=sweep"]
    words.append(f"hydra/launcher={launcher}")
    written = []
    for _ in range(2):
        done = verb("train", *words)
        assert done.code == 0, done
        runs = [Run(tmp_path / "sweep" / str(number)) for number in range(2)]
        written.append([(run.path / "metrics.json").stat().st_mtime_ns for run in runs])
    assert not any(run.has_checkpoint() for run in runs)
    assert written[0] == written[1]
    assert not list(tmp_path.glob("sweep/*.attempt*"))


@pytest.mark.parametrize(("launcher", "extra"), [("submitit_local", "slurm"), ("ray", "ray")])
def test_a_missing_launcher_is_one_line_with_the_remedy(launcher, extra, verb, tiny):
    if installed(launcher.partition("_")[0]):
        pytest.skip(f"{launcher} is installed here")
    done = verb("train", "-m", *tiny, "seed=0,1", f"hydra/launcher={launcher}")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert f'is not installed; pip install "vgg_lit[{extra}]"' in done.err


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["submitit_local", "ray"])
def test_four_jobs_finish_and_do_not_run_twice(launcher, command, tiny, tmp_path, monkeypatch):
    if not installed(launcher.partition("_")[0]):
        pytest.skip(f"needs the package of hydra/launcher={launcher}")
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "300")  # allows for a busy machine
    words = ["-m", *tiny, "logger=none", "seed=0,1,2,3", f"hydra/launcher={launcher}"]
    done = command("train", *words, "hydra.sweep.dir=sweep", cwd=tmp_path, timeout=900)
    assert done.code == 0, done.err
    assert "Warning" not in done.err
    runs = [Run(tmp_path / "sweep" / str(number)) for number in range(4)]
    assert [run.config["seed"] for run in runs] == [0, 1, 2, 3]
    assert {run.status["status"] for run in runs} == {"done"}
    assert len({json.dumps(run.metrics) for run in runs}) == 4

    times = [run.checkpoint("last").stat().st_mtime for run in runs]
    runs[1].set_status("failed", "as if")
    again = command("train", *words, "hydra.sweep.dir=sweep", cwd=tmp_path, timeout=900)
    assert again.code == 0, again.err
    assert {run.status["status"] for run in runs} == {"done"}
    assert [run.checkpoint("last").stat().st_mtime for run in runs] == times

    few = ["-m", *tiny, "seed=0", f"hydra/launcher={launcher}", "data.batch_size=0"]
    wrong = command("train", *few, cwd=tmp_path, timeout=900)
    assert wrong.code == 2
    assert "data.batch_size=0" in wrong.err
    assert "Traceback" not in wrong.err
    assert not list(Path(tmp_path).glob("logs/sweeps/*/*/*/config.yaml"))

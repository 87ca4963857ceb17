"""The directory that `run=...` names."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from vgg_lit.errors import InputError
from vgg_lit.run_selection import newest_runs, run_label, select_run
from vgg_lit.runs import Run
from vgg_lit.system.overrides import as_overrides, shell_words

NEWEST = Path("logs/sweeps/a/s/1")


@pytest.fixture(autouse=True)
def logs(tmp_path, monkeypatch):
    """Two runs and a sweep with two jobs, the second of which is the newest run."""
    monkeypatch.chdir(tmp_path)
    places = ("logs/runs/a/1", "logs/runs/b/2", "logs/sweeps/a/s/0", "logs/sweeps/a/s/1")
    for age, place in enumerate(places):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        for name in ("config.yaml", "overrides.txt", "environment.json"):
            (folder / name).write_text("seed: 0")
            os.utime(folder / name, (1000 + age, 1000 + age))
    jobs = [{"directory": str(n), "overrides": [f"seed={n}", "model=a"]} for n in range(2)]
    (tmp_path / "logs/sweeps/a/s/sweep.json").write_text(json.dumps(jobs))
    return tmp_path / "logs"


def test_latest_is_the_run_started_last(logs):
    assert Run("latest").path == NEWEST
    os.utime(logs / "runs/a/1/environment.json", (5000, 5000))
    for name in ("config.yaml", "overrides.txt"):
        os.utime(logs / "runs/b/2" / name, (9000, 9000))  # a resumed run
    assert select_run("latest") == Path("logs/runs/a/1")
    (logs / "runs/b/2/environment.json").unlink()
    assert select_run("latest") == Path("logs/runs/b/2")


def test_latest_without_runs(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(InputError, match="run=latest: there is no run in logs/"):
        select_run("latest")


def test_a_sweep_lists_its_jobs():
    with pytest.raises(InputError) as error:
        Run("logs/sweeps/a/s")
    first, second = (shell_words({"run": Path("logs/sweeps/a/s", job)}) for job in "01")
    assert str(error.value) == (
        f"run=logs/sweeps/a/s: holds 2 runs; choose one: {first} (seed=0), {second} (seed=1)"
    )


def test_attempts_that_were_set_aside_are_no_runs(logs):
    old = logs / "sweeps/a/s/1.attempt1"
    shutil.copytree(logs / "sweeps/a/s/1", old)
    os.utime(old / "environment.json", (9000, 9000))
    with pytest.raises(InputError, match=r"holds 2 runs; choose one: run=logs/sweeps/a/s/0 "):
        select_run("logs/sweeps/a/s")
    assert select_run("latest") == NEWEST
    assert select_run(old) == old


def test_a_study_lists_its_trials(logs):
    for number in ("10", "2", "2.attempt1"):
        shutil.copytree(logs / "runs/a/1", logs / "tune/a/study/trials" / number)
    with pytest.raises(InputError) as error:
        select_run("logs/tune/a/study")
    trials = [Path("logs/tune/a/study/trials", number) for number in ("2", "10")]
    listed = ", ".join(shell_words({"run": trial}) for trial in trials)
    assert str(error.value) == f"run=logs/tune/a/study: holds 2 runs; choose one: {listed}"


def test_a_run_in_the_home_folder(logs, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(logs))
    assert Run("~/runs/a/1").path == logs / "runs/a/1"


def test_a_run_stands_for_its_path(logs):
    run = Run("logs/runs/a/1")
    assert Run(run).path == run.path
    assert os.fspath(run) == str(run.path)


@pytest.mark.parametrize("path", [None, 3, ["logs"]])
def test_other_objects_are_no_paths(path):
    with pytest.raises(InputError, match=f"^{re.escape(f'run={path!r}: is not a path')}$"):
        Run(path)


def test_a_checkpoint_in_the_place_of_its_run_names_the_run(tmp_path):
    from vgg_lit.training import starting

    file = tmp_path / "logs/runs/a/1/checkpoints/last.ckpt"
    file.parent.mkdir()
    file.touch()
    run, message = file.parents[1], f"{file}: is a file; a run is a directory; did you mean"
    with pytest.raises(InputError, match=f"^{re.escape(f'run={message} run={run}?')}$"):
        Run(file)
    for typed in (f"resume={file}", f"resume='{file}'"):
        with pytest.raises(InputError, match=f"^{re.escape(f'resume={message} resume={run}?')}$"):
            starting.prepare([typed])
    (tmp_path / "words.txt").touch()
    with pytest.raises(InputError, match=r"words.txt: is a file; a run is a directory$"):
        select_run("words.txt")


def test_resume_latest_is_the_path_of_that_run(monkeypatch):
    from vgg_lit.training import starting

    assert starting.prepare(["resume=latest", "seed=1"])[:1] == as_overrides({"resume": NEWEST})


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        ("logs/sweeps/a/s/1", "logs/sweeps/a/s"),
        ("logs/tune/base/study/trials/3", "logs/tune/base/study"),
        ("logs/runs/a/1", "logs/runs/a/1"),
    ],
)
def test_newest_runs_are_the_sweep_or_study_of_the_newest_run(newest, expected, tmp_path):
    folder = tmp_path / newest
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.yaml", "environment.json"):
        (folder / name).write_text("seed: 0")
        os.utime(folder / name, (5000, 5000))
    assert newest_runs() == Path(expected)


def test_newest_runs_without_runs(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(InputError, match="runs=latest: there is no run in logs/"):
        newest_runs()


@pytest.mark.parametrize("key", ["resume", "init.from", "loss.teacher"])
def test_settings_that_take_a_run_take_latest(key, monkeypatch):
    from vgg_lit.training import starting

    monkeypatch.setattr(starting, "as_values_of_run", list)
    monkeypatch.setattr(starting, "find_resumed", list)
    assert starting.prepare([f"{key}=latest", "seed=1"]) == [
        *as_overrides({key: NEWEST}),
        "seed=1",
    ]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("init.from=null,latest", "init.from=null,{}"),
        ("loss.teacher=choice(null, latest)", "loss.teacher=choice(null, {})"),
        ("init.from=latest/x,my_latest,latest", "init.from=latest/x,my_latest,{}"),
        ("name=latest,a", "name=latest,a"),
    ],
)
def test_a_sweep_takes_the_latest_run_before_its_own(typed, expected, logs, monkeypatch):
    from vgg_lit.training import starting

    monkeypatch.setattr(starting, "as_values_of_run", list)
    monkeypatch.setattr(starting, "_with_directory", list)
    assert starting.prepare(["-m", typed]) == ["-m", expected.format("logs/sweeps/a/s/1")]
    again = ["-m", typed, f"hydra.sweep.dir='{logs}/sweeps/a/s'"]
    assert starting.prepare(again) == ["-m", expected.format("logs/runs/b/2"), again[2]]


@pytest.mark.parametrize(
    ("place", "label"),
    [
        ("logs/runs/a/2026_x", "2026_x"),
        ("logs/sweeps/a/2026_s/3", "2026_s/3"),
        ("logs/tune/a/study/trials/12", "study/12"),
    ],
)
def test_a_job_is_named_with_its_sweep(place, label, tmp_path):
    assert run_label(tmp_path / place) == label


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
@pytest.mark.parametrize("make", [os.mkdir, getattr(os, "mkfifo", None)])
def test_a_config_that_is_not_a_file_is_no_run(make, logs):
    broken = logs / "runs/z/9"
    broken.mkdir(parents=True)
    make(broken / "config.yaml")
    assert str(select_run("latest")) == "logs/sweeps/a/s/1"
    with pytest.raises(InputError, match="run=none: there is no such directory; the newest run is"):
        select_run("none")


@pytest.mark.parametrize("content", ["[" * 100_000, "[3]", '[{"directory": 3}]', None])
def test_jobs_of_a_damaged_sweep_are_listed_without_overrides(content, logs):
    record = logs / "sweeps/a/s/sweep.json"
    record.unlink()
    if content is None:
        if not hasattr(os, "mkfifo"):
            pytest.skip("Windows has no pipes in folders")
        os.mkfifo(record)
    else:
        record.write_text(content)
    with pytest.raises(InputError, match=r"choose one: run=logs/sweeps/a/s/0, run="):
        select_run("logs/sweeps/a/s")

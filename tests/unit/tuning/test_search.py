"""The driver of a study; trials are short scripts instead of training runs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from operating_systems import posix

from vgg_lit.config.schema import Tune
from vgg_lit.launching import job_process, pool
from vgg_lit.tuning import search
from vgg_lit.tuning.space import SearchSpace
from vgg_lit.tuning.studies import StudyDirectory, require_optuna

pytest.importorskip("optuna", reason="needs the extra tune")

ROOT = Path(__file__).resolve().parents[3]
NONE = {"_target_": "optuna.pruners.NopPruner"}

# Names in a trial's script: its run directory `here`, the study's `folder`, its overrides `typed`, and these.
TRIAL = """
import json, os, signal, sys, time
from pathlib import Path

here, folder, typed = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
number = int(here.name)
here.mkdir(parents=True, exist_ok=True)
with (folder / "started").open("a") as file:
    file.write(f"{number} {' '.join(typed) or 'resumed'}\\n")

def end(status, **metrics):
    content = {"status": status, "reason": "so", "process": os.getpid()}
    (here / "metrics.json").write_text(json.dumps(metrics))
    (here / "status.json").write_text(json.dumps(content))
    begin()

def begin():
    (here / "config.yaml").write_text("seed: 0")
    if typed:
        (here / "overrides.txt").write_text("".join(word + "\\n" for word in typed))

def wait_for(name):
    while not (folder / name).exists():
        time.sleep(0.01)

"""


def build(folder, script, given):
    """Returns a driver of a study, which is created if needed."""
    settings = {
        "objective": "val/acc",
        "pruner": NONE,
        "sampler": {"_target_": "optuna.samplers.TPESampler", "seed": 0, "n_startup_trials": 4},
        "trainer": {"devices": 1, "max_epochs": 2},
        "storage": "sqlite",
        "n_jobs": 1,
        "space": {"x": "interval(0, 1)"},
        **given,
    }
    require_optuna()
    directory = StudyDirectory(folder / "study")
    with directory.lock():
        directory.create(settings["storage"], is_maximised=True)

    def command(place, overrides):
        return [sys.executable, "-c", script, str(place), str(folder), *(overrides or [])]

    space = SearchSpace(settings["space"])
    return search.Search(directory, space, Tune.model_construct(**settings), command)


def drive(folder, script, given):
    """Runs a driver in this process."""
    build(folder, script, given).run()


DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_search import drive
drive(Path(sys.argv[2]), sys.argv[3], eval(sys.argv[4]))
"""


class Driven:
    """Drivers of one study, and the study."""

    def __init__(self, folder):
        self.folder = folder
        self.directory = StudyDirectory(folder / "study")
        self.drivers = []

    def start(self, script, **settings):
        """Starts a driver in a new process."""
        here = str(Path(__file__).parent)
        given = [str(self.folder), TRIAL + script, repr(settings)]
        words = [sys.executable, "-c", DRIVER, here, *given]
        path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))  # with `operating_systems`
        env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        driver = subprocess.Popen(
            words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.drivers.append(driver)
        return driver

    def run(self, script, **settings):
        """Runs a driver in this process to the end."""
        drive(self.folder, TRIAL + script, settings)

    @property
    def trials(self):
        return self.directory.open(NONE).trials

    @property
    def states(self):
        return [trial.state.name for trial in self.trials]

    @property
    def started(self):
        """The number and the words of every trial start."""
        file = self.folder / "started"
        lines = file.read_text().splitlines() if file.is_file() else []
        return [(int(line.split()[0]), line.split()[1]) for line in lines]

    def wait(self, condition):
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.02)


@pytest.fixture
def driven(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "REFRESH_SECONDS", 0.05)
    monkeypatch.setattr(pool, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(job_process, "SECONDS_TO_FOLLOW", 0.2)
    driven = Driven(tmp_path)
    yield driven
    (tmp_path / "go").touch()
    for driver in driven.drivers:
        driver.kill()
        driver.communicate()


DONE = 'end("done", **{"val/acc": 0.5 + number / 100, "seconds": 1.0})'


def test_a_study_has_exactly_n_trials(driven):
    driven.run(DONE, n_trials=3)
    assert [trial.value for trial in driven.trials] == [0.5, 0.51, 0.52]
    assert len(driven.started) == 3
    driven.run(DONE, n_trials=3)
    assert len(driven.started) == 3
    driven.run(DONE, n_trials=5)
    assert [number for number, _ in driven.started] == [0, 1, 2, 3, 4]


@posix
def test_failed_trials_are_recorded_and_the_others_run(driven):
    script = f"""
if number == 0: raise RuntimeError("out of luck")
if number == 1: os.kill(os.getpid(), signal.SIGKILL)
if number == 2: print("error: seed=x: no number"); sys.exit(2)
if number == 3: end("done", **{{"val/loss": 1.0}}); sys.exit(0)
if number == 4: end("pruned"); sys.exit(0)
{DONE}
"""
    driven.run(script, n_trials=6)
    assert driven.states == [*["FAIL"] * 4, "PRUNED", "COMPLETE"]
    reasons = [trial.user_attrs["reason"] for trial in driven.trials[:4]]
    assert reasons[0] == "exit code 1, RuntimeError: out of luck"
    assert reasons[1] == "killed by SIGKILL, as the system does when memory runs out"
    assert reasons[2] == "seed=x: no number"
    assert reasons[3] == "objective=val/acc: is not a metric of this run; available: val/loss"


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_trial_whose_objective_is_not_finite_has_failed(value, driven):
    ends = f'number or (end("done", **{{"val/acc": float("{value}")}}), sys.exit(0))'
    driven.run(f"{ends}\n{DONE}", n_trials=2)
    assert driven.states == ["FAIL", "COMPLETE"]
    assert driven.trials[0].user_attrs["reason"] == f"objective=val/acc: is {value}"


def test_a_killed_driver_loses_no_trial_and_repeats_none(driven):
    script = f"""
if number == 2:
    wait_for("go")
{DONE}
"""
    driver = driven.start(script, n_trials=4)
    driven.wait(lambda: len(driven.started) == 3)
    driver.kill()
    again = driven.start(script, n_trials=4)
    driven.wait(
        lambda: len(driven.started) == 4
    )  # the orphaned trial runs in parallel with the last one
    (driven.folder / "go").touch()
    out, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    assert driven.states == ["COMPLETE"] * 4
    assert len(driven.started) == 4
    assert "waiting for the running ones" in out


@posix
@pytest.mark.slow
def test_an_interrupted_trial_restarts_with_the_same_values(driven):
    script = f"""
if number == 1 and not (folder / "go").exists():
    (folder / "pid").write_text(str(os.getpid()))
    time.sleep(60)
{DONE}
"""
    driver = driven.start(script, n_trials=3)
    driven.wait(lambda: (driven.folder / "pid").exists())
    driver.kill()
    os.kill(int((driven.folder / "pid").read_text()), signal.SIGKILL)
    (driven.folder / "go").touch()
    driven.run(script, n_trials=3)
    assert driven.states == ["COMPLETE"] * 3
    (first, again) = (words for number, words in driven.started if number == 1)
    assert first == again


@posix
@pytest.mark.slow
def test_a_trial_with_a_checkpoint_is_resumed(driven):
    script = f"""
(here / "checkpoints").mkdir(exist_ok=True)
(here / "checkpoints/last.ckpt").touch()
begin()
if typed:
    wait_for("never")
{DONE}
"""
    driver = driven.start(script, n_trials=1)
    driven.wait(lambda: (driven.directory.trial(0) / "config.yaml").exists())
    driver.send_signal(signal.SIGTERM)
    out, _ = driver.communicate(timeout=60)
    assert driver.returncode == 143
    assert "interrupted" in out
    assert driven.states == ["RUNNING"]
    driven.run(script, n_trials=1)
    assert [words for _, words in driven.started][1:] == ["resumed"]
    assert driven.states == ["COMPLETE"]


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_drivers_of_one_study_share_its_trials(driven, storage):
    # One driver runs two trials at a time, so the third is one of the other driver.
    second = "while len((folder / 'started').read_text().splitlines()) < 3: time.sleep(0.01)"
    script = f"{second}\n{DONE}"
    settings = {"n_trials": 12, "n_jobs": 2, "storage": storage}
    drivers = [driven.start(script, **settings) for _ in range(2)]
    outs = [driver.communicate(timeout=120)[0] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0]
    assert driven.states == ["COMPLETE"] * 12
    assert sorted(number for number, _ in driven.started) == list(range(12))
    assert len({words for _, words in driven.started}) == 12
    assert all("starts" in out for out in outs)


def test_a_trial_that_ends_while_the_trials_are_listed_is_left_alone(tmp_path, monkeypatch):
    driver = build(tmp_path, "", {"n_trials": 2})
    taken = driver._take()
    read = driver.study.get_trials
    listed = [read()]
    driver._fail(taken, "so")  # as another driver does between the list and the lock
    monkeypatch.setattr(
        driver.study, "get_trials", lambda **options: listed.pop() if listed else read(**options)
    )
    assert driver._take().number == 1
    assert [trial.state.name for trial in read()] == ["FAIL", "RUNNING"]


def test_a_left_trial_does_not_take_the_result_of_another_run(driven):
    driver = build(driven.folder, "", {"n_trials": 1})
    driver._take().lock.close()
    there = driven.directory.trial(0)
    there.mkdir(parents=True)
    for name, text in (
        ("config.yaml", "seed: 0"),
        ("overrides.txt", "x=0.125\n"),
        ("status.json", '{"status": "done"}'),
        ("metrics.json", '{"val/acc": 0.75}'),
    ):
        (there / name).write_text(text)
    driven.run(DONE, n_trials=1)
    (trial,) = driven.trials
    assert trial.value == 0.5
    assert driven.started == [(0, f"x={trial.params['x']}")]
    assert (there.parent / "0.attempt1/metrics.json").read_text() == '{"val/acc": 0.75}'


CLAIM = """
import sys
from pathlib import Path
from vgg_lit.system.claims import claim
print(claim(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def test_a_trial_that_is_still_saved_is_taken_later(tmp_path):
    """On Windows the process of a killed driver has no lock of its trial, only the claim of its directory."""
    driver = build(tmp_path, "", {"n_trials": 2})
    killed = driver._take()
    killed.lock.close()
    words = [sys.executable, "-c", CLAIM, str(driver.directory.trial(0))]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, env=env, text=True, **pipes) as saving:
        assert saving.stdout.readline() == "True\n"
        other = driver._take()
        assert other.number == 1
        assert driver._take() is None
    again = driver._take()
    assert (again.number, again.params) == (0, killed.params)


@pytest.mark.slow
def test_values_do_not_depend_on_the_driver(driven, tmp_path):
    together, alone = Driven(tmp_path / "together"), Driven(tmp_path / "alone")
    for one in (together, alone):
        one.folder.mkdir()
    settings = {"sampler": {"_target_": "optuna.samplers.RandomSampler", "seed": 0}}
    alone.run(DONE, n_trials=4, **settings)
    for count in (1, 2, 4):
        together.run(DONE, n_trials=count, **settings)
    assert together.started == alone.started


def test_a_grid_is_searched_once(driven):
    settings = {
        "space": {"x": "range(3)", "y": "a,b"},
        "sampler": {"_target_": "optuna.samplers.GridSampler", "seed": 0},
    }
    driven.run(DONE, n_trials=100, n_jobs=2, **settings)
    params = {tuple(trial.params.values()) for trial in driven.trials}
    assert len(params) == len(driven.trials) == 6

"""Searches with real training: killed and parallel drivers, pruning, two processes per trial. All are slow."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vgg_lit.runs import Run
from vgg_lit.tuning.studies import StudyDirectory, epochs_of

optuna = pytest.importorskip("optuna", reason="needs the extra tune")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
NONE = {"_target_": "optuna.pruners.NopPruner"}

# Each process of a trial records its learning rate.
RATES = """
import os
from pathlib import Path
import lightning.pytorch as L

class Rates(L.Callback):
    def __init__(self, folder):
        self.folder = Path(folder)

    def on_train_start(self, trainer, pl_module):
        trial = Path(trainer.default_root_dir).name
        typed = pl_module.hparams["optimizer"]["lr"]
        (self.folder / f"{trial}_{trainer.global_rank}").write_text(repr(typed))
"""


@pytest.fixture
def start(tmp_path):
    """`start("name=first")`: a driver process in tmp_path; its processes are killed afterwards."""
    started = []

    def start(*arguments):
        env = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}", "OMP_NUM_THREADS": "1"}
        log = (tmp_path / f"{len(started)}.log").open("w")
        driver = subprocess.Popen(
            [sys.executable, "-m", "vgg_lit.tune", "logger=none", *arguments],
            cwd=tmp_path,
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        driver.log = Path(log.name)
        started.append(driver)
        return driver

    yield start
    for driver in started:
        driver.kill()
        driver.wait()
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if os.readlink(link) == str(tmp_path):
                os.kill(int(link.parent.name), signal.SIGKILL)
        except OSError:  # the process has just ended
            continue


def wait_until(condition, seconds=600):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.2)


def trials_in(folder):
    return StudyDirectory(folder).open(NONE).trials


def test_twenty_trials_finish_after_the_driver_is_killed_at_the_tenth(start, tiny, tmp_path):
    study = tmp_path / "logs/tune/first"
    words = ["name=first", "n_trials=20", "pruner=none", *tiny, "trainer.max_epochs=2"]
    first = start(*words)
    running = study / "trials/10/metrics.csv"
    wait_until(running.is_file)
    first.kill()
    second = start(*words)
    assert second.wait(timeout=1200) == 0, second.log.read_text()
    trials = trials_in(study)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 20
    assert len({tuple(trial.params.values()) for trial in trials}) == 20
    assert sorted(int(path.name) for path in (study / "trials").iterdir()) == list(range(20))
    first_values, second_values = (
        re.findall(r"^\[10\] \w+: (.+)$", driver.log.read_text(), re.MULTILINE)[0]
        for driver in (first, second)
    )
    assert first_values == second_values
    assert all(epochs_of(trial) == 2 for trial in trials)


def test_pruning_saves_epochs_and_keeps_the_best(start, tiny, tmp_path):
    """Both searches draw the same values, which do not depend on the results of other trials."""
    words = [
        *("n_trials=20", "sampler=random", "optimizer.lr=tag(log, interval(1e-4, 0.3))", *tiny),
        *("model.width=0.0625", "data.train_size=640", "data.val_fraction=0.05"),
        *("data.batch_size=64", "trainer.max_epochs=6"),
    ]
    found = {}
    for pruner in ("none", "median"):
        driver = start(f"name={pruner}", f"pruner={pruner}", *words)
        assert driver.wait(timeout=2400) == 0, driver.log.read_text()
        found[pruner] = trials_in(tmp_path / "logs/tune" / pruner)
    assert [t.params for t in found["none"]] == [t.params for t in found["median"]]
    epochs = {pruner: sum(map(epochs_of, trials)) for pruner, trials in found.items()}
    best = {
        pruner: max(t.value for t in trials if t.state.name == "COMPLETE")
        for pruner, trials in found.items()
    }
    assert epochs["median"] <= 0.7 * epochs["none"] == 0.7 * 120
    assert best["median"] == best["none"]
    pruned = next(t for t in found["median"] if t.state.name == "PRUNED")
    run = Run(tmp_path / f"logs/tune/median/trials/{pruned.number}")
    assert run.status["status"] == "pruned"
    assert "after epoch" in run.status["reason"]


def test_two_drivers_share_one_study(start, tiny, tmp_path):
    words = ["name=first", "n_trials=6", "pruner=none", *tiny]
    drivers = [start(*words) for _ in range(2)]
    assert [driver.wait(timeout=900) for driver in drivers] == [0, 0]
    trials = trials_in(tmp_path / "logs/tune/first")
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 6
    assert len({tuple(trial.params.values()) for trial in trials}) == 6
    shares = [len(re.findall("starts:", driver.log.read_text())) for driver in drivers]
    assert sum(shares) == 6
    assert min(shares) > 0


def test_both_processes_of_a_trial_use_its_values(start, tiny, tmp_path):
    (tmp_path / "rates.py").write_text(RATES)
    driver = start(
        *("name=first", "n_trials=2", *tiny, "trainer.devices=2", "trusted_targets=[rates]"),
        *("+callbacks.rates._target_=rates.Rates", f"+callbacks.rates.folder={tmp_path}"),
    )
    assert driver.wait(timeout=900) == 0, driver.log.read_text()
    trials = trials_in(tmp_path / "logs/tune/first")
    assert len(trials) == 2
    for trial in trials:
        rate = repr(trial.params["optimizer.lr"])
        written = [(tmp_path / f"{trial.number}_{rank}").read_text() for rank in range(2)]
        assert written == [rate, rate]


def test_the_reported_command_reproduces_the_best_trial(start, tiny, command, tmp_path):
    driver = start("name=first", "n_trials=2", "pruner=none", *tiny)
    assert driver.wait(timeout=600) == 0, driver.log.read_text()
    best = max(trials_in(tmp_path / "logs/tune/first"), key=lambda trial: trial.value)
    (line,) = re.findall(r"^train +python -m vgg_lit\.train (.+)$", driver.log.read_text(), re.M)
    done = command("train", *line.split(), "logger=none", "hydra.run.dir=again", cwd=tmp_path)
    assert done.code == 0, done.err
    again = Run(tmp_path / "again").metrics
    assert again["val/acc"] == best.value
    assert "test/acc" in again

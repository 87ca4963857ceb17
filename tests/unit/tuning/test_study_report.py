"""The report of a study: table, figures, and an experiment that trains the best trial."""

import csv

import hydra
import pytest
import yaml

from vgg_lit.config.checks import to_plain
from vgg_lit.config.group_options import config_folder
from vgg_lit.config.hydra_versions import VERSION_BASE
from vgg_lit.config.resolvers import register_resolvers
from vgg_lit.config.schema import Tune
from vgg_lit.tuning.studies import StudyDirectory
from vgg_lit.tuning.study_report import as_experiment, best_trial, live_table, report

optuna = pytest.importorskip("optuna", reason="needs the extra tune")

GROUPS = {"model", "augment", "callbacks", "experiment", "debug", "optimizer"}
NONE = {"_target_": "optuna.pruners.NopPruner"}


def settings_of(objective="val/acc"):
    return Tune.model_construct(objective=objective, pruner=NONE, trainer={"max_epochs": 4})


@pytest.fixture
def directory(tmp_path):
    """A study of four trials: one done, one pruned after an epoch, one failed, and the best, done."""
    directory = StudyDirectory(tmp_path / "study")
    with directory.lock():
        directory.create("sqlite", is_maximised=True)
    study = directory.open(NONE)
    distributions = {
        "optimizer.lr": optuna.distributions.FloatDistribution(1e-3, 1, log=True),
        "model": optuna.distributions.CategoricalDistribution(["vgg11", "vgg13_bn"]),
    }
    for state, epochs, value in (
        ("COMPLETE", 4, 0.5),
        ("PRUNED", 1, None),
        ("FAIL", 0, None),
        ("COMPLETE", 4, 0.7),
    ):
        trial = study.ask(distributions)
        for epoch in range(1, epochs + 1):
            trial.report(0.1 * epoch, epoch)
        if state == "FAIL":
            trial.set_user_attr("reason", "out of luck")
        study.tell(trial, value, state=optuna.trial.TrialState[state])
    return directory


@pytest.fixture
def written(directory, capsys):
    """The study's directory and the printed output."""
    report(directory, settings_of(), ["model.width=0.125"], GROUPS, [])
    return directory, capsys.readouterr().out


def test_the_table_has_every_trial(written):
    directory, out = written
    with (directory.path / "trials.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [row["status"] for row in rows] == ["done", "pruned", "failed", "done"]
    assert [row["epochs"] for row in rows] == ["4", "1", "0", "4"]
    assert rows[2]["reason"] == "out of luck"
    assert rows[3]["val/acc"] == "0.7"
    assert (directory.path / "trials.md").read_text().count("\n") == 8
    assert "9 of 12: 1 pruned trial saved 25 %" in out
    assert f"optuna-dashboard sqlite:///{directory.path}/study.db" in out


def test_the_page_has_the_best_trial_and_the_reasons_of_failed_ones(written):
    directory, _ = written
    page = (directory.path / "study.html").read_text()
    assert "trial 3, val/acc 70.00 %" in page
    assert "out of luck" in page


@pytest.mark.parametrize("width", [50, 80, 120])
def test_the_table_fits_the_terminal(width, directory, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    report(directory, settings_of(), ["model.width=0.125"], GROUPS, [])
    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if line.startswith(("┏", "┃", "│", "└"))]
    assert max(map(len, table)) <= width
    assert len(table) == 3 + len(directory.open(NONE).trials)  # no cell takes two lines
    assert "70.00 %" in table[-2]
    live = live_table(directory.open(NONE).trials, settings_of(), 10, width)
    assert [column.header for column in live.columns][:2] == ["trial", "val/acc"]


def test_figures_are_pictures(written):
    directory, _ = written
    for name in ("history.png", "importance.png"):
        assert (directory.path / name).read_bytes().startswith(b"\x89PNG")


def test_the_best_trial_is_an_experiment(written, compose):
    directory, out = written
    best = directory.open(NONE).best_trial
    assert best.number == 3
    (line,) = [line for line in out.splitlines() if line.startswith("train ")]
    assert line.split(None, 1)[1] == (
        f"python -m vgg_lit.train --config-dir {directory.path} experiment=best"
    )
    register_resolvers()
    searchpath = f"hydra.searchpath=['{directory.path}']"
    with hydra.initialize_config_dir(str(config_folder()), **VERSION_BASE):
        config = hydra.compose("train", overrides=[searchpath, "experiment=best"])
    params = [f"{name}={value}" for name, value in best.params.items()]
    assert to_plain(config) == to_plain(compose("model.width=0.125", *params))


def test_the_reported_command_names_both_config_directories(directory, capsys):
    report(directory, settings_of(), [], GROUPS, ["--config-dir", "mine"])
    command = (
        f"--config-dir mine 'hydra.searchpath=['\"'\"'{directory.path}'\"'\"']' experiment=best"
    )
    assert command in capsys.readouterr().out


def test_the_best_trial_has_the_best_value_and_the_lowest_number(directory):
    trials = directory.open(NONE).trials
    assert best_trial(trials, "val/acc").number == 3
    assert best_trial(trials, "val/loss").number == 0
    assert best_trial([trials[0], trials[0]], "val/acc") is trials[0]
    assert best_trial(trials[1:3], "val/acc") is None


def test_the_live_table_counts_finished_trials(directory):
    table = live_table(directory.open(NONE).trials, settings_of(), 10, 80)
    assert table.row_count == 4
    assert table.title == "4 of 10 trials finished; best: trial 3"
    assert live_table([], settings_of(), 10, 80).row_count == 0


def test_a_trial_that_another_driver_is_starting_lacks_values(directory, capsys):
    study = directory.open(NONE)
    study.ask()
    study.enqueue_trial({"model": "vgg11"})
    assert live_table(study.trials, settings_of(), 10, 80).row_count == 6
    report(directory, settings_of(), [], GROUPS, [])
    with (directory.path / "trials.csv").open() as file:
        assert [row["optimizer.lr"] for row in csv.DictReader(file)][4:] == ["", ""]


def test_a_setting_that_the_first_trial_lacks_has_a_column(directory, capsys):
    study = directory.open(NONE)
    study.ask({"seed": optuna.distributions.IntDistribution(7, 7)})
    report(directory, settings_of(), [], GROUPS, [])
    with (directory.path / "trials.csv").open() as file:
        assert [row["seed"] for row in csv.DictReader(file)] == ["", "", "", "", "7"]


def test_overrides_become_an_experiments_defaults_and_settings():
    typed = [
        "experiment=fast_cifar10",
        "model=vgg11",
        "callbacks=[default,ema]",
        "+model.extra={a: 1}",
        "optimizer.betas=[0.9,0.99]",
        "~logger",
        "seed=3",
        "model=vgg13_bn",
        "name='a b'",
    ]
    defaults, settings, others = as_experiment(typed, GROUPS)
    assert defaults == [
        "fast_cifar10",
        "_self_",
        {"override /model": "vgg13_bn"},
        {"override /callbacks": ["default", "ema"]},
    ]
    assert settings == {
        "model": {"extra": {"a": 1}},
        "optimizer": {"betas": [0.9, 0.99]},
        "seed": 3,
        "name": "a b",
    }
    assert others == ["~logger"]


def test_the_experiment_is_yaml_with_its_command_on_top(written):
    directory, _ = written
    text = (directory.path / "experiment/best.yaml").read_text()
    assert text.startswith("# @package _global_\n# Trial 3 of ")
    assert "experiment=best" in text.splitlines()[2]
    assert yaml.safe_load(text)["model"] == {"width": 0.125}


def test_seconds_that_are_no_number_are_left_out(directory):
    study = directory.open(NONE)
    study.ask().set_user_attr("seconds", "abc")
    assert live_table(study.trials, settings_of(), 10, 80).row_count == 5

"""The trial of a process: its environment variable, and its reports."""

import pytest

from vgg_lit.errors import InputError
from vgg_lit.tuning.studies import epochs_of
from vgg_lit.tuning.trial_of_this_process import TRIAL, TrialOfThisProcess

optuna = pytest.importorskip("optuna", reason="needs the extra tune")

NONE = {"_target_": "optuna.pruners.NopPruner"}
MEDIAN = {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 2, "n_warmup_steps": 2}


@pytest.mark.parametrize("text", ["[]", "{", '{"directory": "x"}', '{"number": 0, "more": 1}'])
def test_an_invalid_variable_is_one_line(text, monkeypatch):
    monkeypatch.setenv(TRIAL, text)
    with pytest.raises(InputError, match=r"^VGG_LIT_TRIAL: cannot be read: ") as error:
        TrialOfThisProcess.from_environment()
    assert "\n" not in str(error.value)


def test_a_process_finds_its_trial_in_the_environment(monkeypatch):
    assert TrialOfThisProcess.from_environment() is None
    trial = TrialOfThisProcess("logs/tune/first", 7, MEDIAN)
    for name, value in trial.environment().items():
        monkeypatch.setenv(name, value)
    assert TrialOfThisProcess.from_environment() == trial


def test_a_trial_below_the_median_is_pruned_after_the_warm_up(directory):
    study = directory.open(MEDIAN)
    for value in (0.5, 0.6):
        trial = study.ask()
        for epoch in (1, 2, 3):
            trial.report(value, epoch)
        study.tell(trial, value)
    number = study.ask().number
    trial = TrialOfThisProcess(str(directory.path), number, MEDIAN)
    assert [trial.report(epoch, 0.4) for epoch in (1, 2)] == [False, True]
    assert epochs_of(study.trials[number]) == 2


def test_a_repeated_epoch_keeps_its_first_report(directory):
    study = directory.open(NONE)
    number = study.ask().number
    trial = TrialOfThisProcess(str(directory.path), number, NONE)
    trial.report(1, 0.4)
    assert not trial.report(1, 0.4)
    assert study.trials[number].intermediate_values == {1: 0.4}

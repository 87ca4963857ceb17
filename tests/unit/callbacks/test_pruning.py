"""A trial reports its epochs, and ends early if the study prunes it."""

import json

import pytest

from vgg_lit.runs import Run
from vgg_lit.tuning.trial_of_this_process import TrialOfThisProcess


@pytest.fixture
def trial(monkeypatch):
    """`trial(2)`: makes the training a trial pruned after epoch 2; returns its reports."""

    def trial(pruned_after=None):
        reports = []

        def report(self, epoch, value):
            reports.append((epoch, value))
            return epoch == pruned_after

        monkeypatch.setattr(TrialOfThisProcess, "report", report)
        for name, value in TrialOfThisProcess("study", 0, {}).environment().items():
            monkeypatch.setenv(name, value)
        return reports

    return trial


def test_every_epoch_is_reported(trial, train, tmp_path):
    reports = trial()
    run = train(tmp_path / "run", "trainer.max_epochs=3", "objective=val/loss")
    rows = run.metrics_file.read_text().splitlines()[1:]
    assert [epoch for epoch, _ in reports] == [1, 2, 3] == [int(row[0]) for row in rows]
    assert run.metrics["val/loss"] == min(value for _, value in reports)
    assert run.status["status"] == "done"


def test_a_pruned_run_has_a_reason_and_is_not_tested(trial, train, tmp_path):
    reports = trial(pruned_after=2)
    run = train(tmp_path / "run", "trainer.max_epochs=4")
    assert len(reports) == 2
    status = Run(tmp_path / "run").status
    assert status["status"] == "pruned"
    assert status["reason"] == f"val/acc {100 * reports[1][1]:.2f} % after epoch 2 of 4"
    assert "val/acc" in run.metrics
    assert "test/acc" not in run.metrics
    assert run.checkpoint("last").is_file()


def test_the_last_epoch_is_never_pruned(trial, train, tmp_path):
    trial(pruned_after=2)
    assert train(tmp_path / "run", "trainer.max_epochs=2").status["status"] == "done"


def test_epochs_without_validation_are_not_reported(trial, train, tmp_path):
    reports = trial()
    train(tmp_path / "run", "trainer.max_epochs=4", "trainer.check_val_every_n_epoch=2")
    assert [epoch for epoch, _ in reports] == [2, 4]


def test_a_run_that_is_not_a_trial_has_no_pruning(tiny_run):
    assert tiny_run.status["status"] == "done"
    assert "Pruning" not in json.dumps(tiny_run.config)

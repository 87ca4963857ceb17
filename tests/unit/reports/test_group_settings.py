"""The settings that define groups of runs."""

import pytest

from vgg_lit.errors import InputError
from vgg_lit.reports.group_settings import effective_settings, named_in_by, usual_texts

SETTINGS = {
    run: {"optimizer": "SGD", "optimizer.lr": lr, "data.optimizer_of_x": 1, "loss.optimizer": 2}
    for run, lr in (("a", 0.1), ("b", 0.2))
}


def test_settings_without_an_effect_on_results_are_left_out():
    differing = {
        "optimizer.lr": {"a": 0.1, "b": 0.2},
        "name": {"a": "x", "b": "y"},
        "objective": {"a": "val/acc", "b": "val/loss"},
        "metrics.ece": {"a": None, "b": "MulticlassCalibrationError"},
        "callbacks.tensorboard.norms": {"a": None, "b": 50},
        "data.root": {"a": "x", "b": "x"},
    }
    assert effective_settings(differing, ["val/acc", "val/ece"]) == ["optimizer.lr"]


def test_a_metric_that_runs_compute_otherwise_tells_them_apart():
    differing = {"metrics.f1.average": {"a": "macro", "b": "weighted", "c": None}}
    assert effective_settings(differing, ["val/f1"]) == ["metrics.f1.average"]
    assert effective_settings(differing, ["val/acc"]) == []


def test_a_name_stands_for_a_key_a_section_or_a_last_part():
    for name in ("optimizer.lr", "optimizer", "lr"):
        assert named_in_by(name, ["optimizer.lr", "seed"], SETTINGS) == ["optimizer.lr"]


def test_each_near_match_is_proposed_once():
    with pytest.raises(InputError, match=r"by=data\.optimizer: unknown") as error:
        named_in_by("data.optimizer", ["optimizer.lr"], SETTINGS)
    assert str(error.value).count("'optimizer'") == 1


@pytest.mark.parametrize(
    ("rows", "usual"),
    [
        ([["a", "b"], ["a", "c"], ["d", "b"]], ["a", "b"]),
        ([["a"], ["b"]], []),  # no value is that of most groups
        ([["a", "b"], ["a", "c"], ["a", "d"]], []),
        ([], []),
    ],
)
def test_usual_settings_are_those_of_more_than_half_of_the_groups(rows, usual):
    assert usual_texts(rows) == usual

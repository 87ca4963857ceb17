"""The table of McNemar's tests between groups of runs, and the pairs that have none."""

import pytest

from vgg_lit.reports.comparison import Comparison
from vgg_lit.reports.groups import RunGroups
from vgg_lit.reports.prediction_tables import prediction_table, untested_pairs


@pytest.fixture
def groups(write_run):
    runs = [
        write_run(f"{lr}_{seed}", {"val/acc": lr + seed / 10}, lr=lr, seed=seed)
        for lr in (0.1, 0.2)
        for seed in range(3)
    ]
    return RunGroups(Comparison(runs))


def test_mcnemars_test_of_each_common_seed(groups, write_predictions):
    assert prediction_table(groups, "val/acc") is None
    runs = groups.comparison.runs
    for seed in (0, 1):
        write_predictions(runs[f"0.1_{seed}"], "aaaa", "aabb")
        write_predictions(runs[f"0.2_{seed}"], "aaaa", "aaaa")
    table = prediction_table(groups, "val/acc")
    assert [row["pair"] for row in table.texts] == ["seed=0", "seed=1"]
    assert table.records[0] == {
        "first": "0.2_0",
        "second": "0.1_0",
        "split": "test",
        "images": 4,
        "only_first": 2,
        "only_second": 0,
        "p": 0.5,
    }
    assert table.texts[0]["p"] == "0.50"


def test_single_runs_of_other_seeds_are_a_pair_of_mcnemars_test(write_run, write_predictions):
    runs = [write_run("a", {"val/acc": 0.5}), write_run("b", {"val/acc": 0.6}, lr=0.2, seed=1)]
    for run, predicted in zip(runs, ("ab", "aa"), strict=True):
        write_predictions(run, "aa", predicted)
    table = prediction_table(RunGroups(Comparison(runs)), "val/acc")
    assert table.title == "McNemar's exact test; first: lr=0.2, second: lr=0.1"
    assert list(table.texts[0]) == ["images", "only first", "only second", "p"]
    assert (table.texts[0]["only first"], table.texts[0]["p"]) == ("1", "1.00")


def test_pairs_of_single_runs_and_of_common_seeds_have_the_same_columns(
    write_run, write_predictions
):
    runs = [
        write_run("a", {"val/acc": 0.7}),
        write_run("b", {"val/acc": 0.6}, lr=0.2),
        write_run("c", {"val/acc": 0.5}, lr=0.3, seed=1),
    ]
    for run, predicted in zip(runs, ("aa", "ab", "bb"), strict=True):
        write_predictions(run, "aa", predicted)
    table = prediction_table(RunGroups(Comparison(runs)), "val/acc")
    assert [row["pair"] for row in table.texts] == ["seed=0", ""]
    assert table.remarks[1] == "The p-values are not corrected for 2 comparisons."


@pytest.mark.parametrize(
    ("splits", "lacking"),
    [
        ((["test"], ["val"]), ["b"]),
        ((["val"], []), ["b"]),
        ((["test", "val"], ["val"]), []),
        (([], []), ["a", "b"]),
    ],
)
def test_a_run_without_the_split_of_its_partner_lacks_predictions(
    splits, lacking, write_run, write_predictions
):
    runs = [write_run("a", {"val/acc": 0.5}), write_run("b", {"val/acc": 0.6}, lr=0.2)]
    for run, of_run in zip(runs, splits, strict=True):
        for split in of_run:
            write_predictions(run, "ab", "ab", split)
    found = untested_pairs(RunGroups(Comparison(runs)), "val/acc")
    assert [run.path.name for run in found.lacking] == lacking
    assert found.unlike == found.lost == []


def test_a_run_without_the_checkpoint_of_its_metrics_is_not_evaluated_again(write_run):
    history = "epoch,step,val/acc\n1,4,0.6\n2,8,0.5\n"
    runs = [
        write_run("a", {"val/acc": 0.6}, history=history),
        write_run("b", {"val/acc": 0.5}, lr=0.2, history=history),
    ]
    found = untested_pairs(RunGroups(Comparison(runs)), "val/acc")
    assert found.lost == ["a"]
    assert found.lacking == []

"""The tables of a comparison: statistics, paired tests and McNemar's tests, as texts and records."""

import pytest
from scipy import stats

from vgg_lit.reports.comparison import Comparison
from vgg_lit.reports.comparison_tables import (
    difference_table,
    group_table,
    prediction_table,
    run_table,
)
from vgg_lit.reports.groups import RunGroups
from vgg_lit.reports.number_texts import format_p

FIRST, SECOND = (0.81, 0.84, 0.80), (0.86, 0.87, 0.86)


@pytest.fixture
def groups(write_run):
    runs = [
        write_run(f"{lr}_{seed}", {"val/acc": value, "val/loss": 2 * value}, lr=lr, seed=seed)
        for lr, values in ((0.1, FIRST), (0.2, SECOND))
        for seed, value in enumerate(values)
    ]
    return RunGroups(Comparison(runs))


def test_constant_columns_of_runs_are_a_remark(groups):
    table = run_table(groups.comparison, "val/acc")
    assert list(table.texts[0]) == ["run", "optimizer.lr", "seed", "val/acc", "val/loss"]
    parameters = table.records[0]["parameters"]
    assert table.remarks == [f"The same in all runs: parameters {parameters:,}, status done."]
    assert {row["status"] for row in table.records} == {"done"}


def test_statistics_are_those_of_scipy(groups):
    table = group_table(groups, "val/acc")
    assert [(row["group"], row["metric"]) for row in table.records] == [
        ("lr=0.2", "val/acc"),
        ("lr=0.2", "val/loss"),
        ("lr=0.1", "val/acc"),
        ("lr=0.1", "val/loss"),
    ]
    row, text = table.records[2], table.texts[2]
    low, high = stats.t.interval(0.95, 2, sum(FIRST) / 3, stats.sem(FIRST))
    assert (row["low"], row["high"]) == pytest.approx((low, high))
    assert row["std"] == pytest.approx(stats.tstd(FIRST))
    assert row["optimizer.lr"] == 0.1
    assert text["mean"] == "81.67 %"
    assert text["std"] == "2.08 %"
    assert text["95 % interval"] == f"{100 * low:.2f} to {100 * high:.2f} %"
    assert (table.texts[3]["mean"], table.texts[3]["std"]) == ("1.633", "0.042")
    assert table.ends_section == [1, 3]


def test_differences_are_those_of_scipy(groups):
    table = difference_table(groups, "val/acc")
    expected = stats.ttest_rel(SECOND, FIRST)
    row = table.records[0]
    assert (row["first"], row["second"], row["n"]) == ("lr=0.2", "lr=0.1", 3)
    assert row["p"] == pytest.approx(expected.pvalue)
    assert (row["low"], row["high"]) == pytest.approx(tuple(expected.confidence_interval()))
    assert table.texts[0]["difference"] == "+4.67 points"
    assert table.texts[0]["p"] == format_p(expected.pvalue)
    assert table.remarks == [
        "3 pairs: p < 0.05 needs a mean above 2.5 deviations of the differences."
    ]
    assert table.title.startswith("lr=0.2 minus lr=0.1: paired t-test over common seeds")


def test_groups_without_a_pair_and_several_groups_are_remarked(groups, write_run):
    more = [write_run(f"c{seed}", {"val/acc": 0.1}, lr=0.3, seed=seed) for seed in (5, 6)]
    runs = [*groups.comparison.runs.values(), *more]
    table = difference_table(RunGroups(Comparison(runs)), "val/acc")
    assert {row["second"] for row in table.records} == {"lr=0.1"}
    assert "lr=0.3 has no seeds in common with lr=0.2." in table.remarks
    assert "The p-values are not corrected for 2 comparisons." in table.remarks


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


def test_a_metric_that_a_group_lacks_is_not_a_lack_of_seeds(write_run):
    runs = [
        write_run(f"{lr}_{seed}", {"val/acc": lr, **extra}, lr=lr, seed=seed)
        for lr, extra in ((0.2, {"test/acc": 0.5}), (0.1, {}))
        for seed in (0, 1)
    ]
    table = difference_table(RunGroups(Comparison(runs)), "val/acc")
    assert "lr=0.1 has no values of test/acc in common with lr=0.2." in table.remarks
    assert not any("no seeds" in remark for remark in table.remarks)


def test_remarks_name_folds_other_settings_and_missing_runs(write_run):
    runs = [
        write_run("a", {"val/acc": 0.5}, fold=0),
        write_run("b", {"val/acc": 0.5}, fold=1, lr=0.2),
        write_run("c", {}, fold=2),
        write_run("d", {"val/acc": 0.4}, fold=0),
    ]
    remarks = "\n".join(group_table(RunGroups(Comparison(runs), ["data.fold"]), "val/acc").remarks)
    assert "also differ in optimizer.lr." in remarks
    assert "Without final metrics and left out: c." in remarks
    assert "a finished or later run has the same settings: a." in remarks
    remarks = "\n".join(group_table(RunGroups(Comparison(runs)), "val/acc").remarks)
    assert "Folds share training images" in remarks

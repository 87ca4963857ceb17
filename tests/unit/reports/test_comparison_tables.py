"""The tables of a comparison: statistics and paired tests, as texts and records."""

import pytest
from scipy import stats

from vgg_lit.reports.comparison import Comparison
from vgg_lit.reports.comparison_tables import (
    difference_table,
    group_table,
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
        "With 3 pairs, p < 0.05 needs a mean difference above 2.5 times the standard deviation of the "
        "differences."
    ]
    assert table.title.startswith("lr=0.2 minus lr=0.1: paired t-test over common seeds")


def test_groups_without_a_pair_and_several_groups_are_remarked(groups, write_run):
    more = [write_run(f"c{seed}", {"val/acc": 0.1}, lr=0.3, seed=seed) for seed in (5, 6)]
    runs = [*groups.comparison.runs.values(), *more]
    table = difference_table(RunGroups(Comparison(runs)), "val/acc")
    assert {row["second"] for row in table.records} == {"lr=0.1"}
    assert "lr=0.3 has no seeds in common with lr=0.2." in table.remarks
    assert not any("not corrected" in remark for remark in table.remarks)  # one group has a test
    assert table.title.startswith("lr=0.2 minus each other group: ")
    more = [write_run(f"d{seed}", {"val/acc": seed / 10}, lr=0.4, seed=seed) for seed in (0, 1)]
    table = difference_table(RunGroups(Comparison([*runs, *more])), "val/acc")
    assert "The p-values are not corrected for 2 comparisons." in table.remarks


def test_groups_without_any_common_seed_are_a_remark_on_the_groups(write_run):
    runs = [
        write_run(f"{lr}_{seed}", {"val/acc": lr + seed / 10}, lr=lr, seed=seed)
        for lr, seeds in ((0.1, (0, 1)), (0.2, (2, 3)))
        for seed in seeds
    ]
    found = RunGroups(Comparison(runs))
    assert difference_table(found, "val/acc") is None
    remarks = group_table(found, "val/acc").remarks
    assert "lr=0.1 has no seeds in common with lr=0.2." in remarks


def test_remarks_that_are_not_true_of_all_tests_name_the_metrics(write_run):
    def of(lr, losses):
        return [
            write_run(
                f"{lr}_{seed}", {"val/acc": lr + lr * seed / 10, "val/loss": loss}, lr=lr, seed=seed
            )
            for seed, loss in enumerate(losses)
        ]

    equal = "All differences are equal, so there is no test"
    few = "With 2 pairs, p < 0.05 needs a mean difference above 9.0 times the standard deviation of the differences"
    two = [*of(0.2, (0.5, 0.6)), *of(0.1, (0.4, 0.5))]
    remarks = difference_table(RunGroups(Comparison(two)), "val/acc").remarks
    assert remarks == [f"{few}: val/acc.", f"{equal}: val/loss."]
    three = [*two, *of(0.05, (0.4, 0.7))]
    remarks = difference_table(RunGroups(Comparison(three)), "val/acc").remarks
    assert f"{equal}: lr=0.1 (val/loss)." in remarks
    assert f"{few}: lr=0.1 (val/acc); lr=0.05 (val/acc, val/loss)." in remarks


def test_values_that_are_not_finite_are_named_and_their_groups_shown(write_run):
    nan = float("nan")
    finals = {0.1: ((0.5, 0.4), (0.6, nan)), 0.2: ((nan, nan), (nan, nan))}
    runs = [
        write_run(f"{lr}_{seed}", {"val/acc": acc, "val/loss": loss}, lr=lr, seed=seed)
        for lr, values in finals.items()
        for seed, (acc, loss) in enumerate(values)
    ]
    table = group_table(RunGroups(Comparison(runs)), "val/acc")
    assert [(row["group"], row["metric"], row["n"]) for row in table.texts] == [
        ("lr=0.1", "val/acc", "2"),
        ("lr=0.1", "val/loss", "1"),
        ("lr=0.2", "val/acc", "0"),
        ("lr=0.2", "val/loss", "0"),
    ]
    assert table.texts[2]["mean"] == table.texts[2]["std"] == ""
    assert table.records[2]["mean"] is None
    assert (
        "Not finite and left out: val/acc of 0.2_0, 0.2_1; val/loss of 0.1_1, 0.2_0, 0.2_1."
        in table.remarks
    )


def test_equal_values_have_no_digits_of_rounding_errors(write_run):
    runs = [
        write_run(f"{lr}_{seed}", {"test/loss": loss}, lr=lr, seed=seed)
        for lr, loss in ((0.1, 0.1), (0.2, 0.3))
        for seed in range(3)
    ]
    found = RunGroups(Comparison(runs))
    texts = group_table(found, "test/loss").texts
    assert [(row["mean"], row["std"]) for row in texts] == [("0.1", "0"), ("0.3", "0")]
    assert difference_table(found, "test/loss").texts[0]["difference"] == "-0.2"


def test_the_title_names_a_column_that_is_no_metric_as_such(groups):
    assert group_table(groups, "parameters").title == "Mean over 3 seeds, by parameters"


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

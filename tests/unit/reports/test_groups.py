"""Runs that differ in seed or fold alone form groups; tests pair their seeds."""

import os

import pytest
from scipy import stats

from vgg_lit.errors import InputError
from vgg_lit.reports.comparison import Comparison
from vgg_lit.reports.comparison_tables import group_table
from vgg_lit.reports.groups import RunGroups
from vgg_lit.reports.latex import escape_latex, paper_table

FIRST, SECOND = (0.81, 0.84, 0.80), (0.86, 0.87, 0.86)


@pytest.fixture
def two_models(write_run):
    runs = [
        write_run(
            f"{model}_{seed}", {"val/acc": value, "val/loss": 1 - value}, model=model, seed=seed
        )
        for model, values in (("vgg11_bn", FIRST), ("vgg13_bn", SECOND))
        for seed, value in enumerate(values)
    ]
    return Comparison(runs)


def test_seeds_are_grouped_and_the_best_mean_is_first(two_models):
    groups = RunGroups(two_models)
    assert groups.by == ["model"]
    assert groups.has_repetitions
    assert groups.repetitions == "seeds"
    best, other = groups.ordered("val/acc")
    assert [best.label, other.label] == ["model=vgg13_bn", "model=vgg11_bn"]
    assert groups.ordered("val/loss") == [best, other]
    assert groups.ordered("model") == [other, best]
    assert list(best.members.values()) == ["vgg13_bn_0", "vgg13_bn_1", "vgg13_bn_2"]
    summary = groups.summary(other, "val/acc")
    assert summary.n == 3
    assert summary.mean == pytest.approx(sum(FIRST) / 3)


def test_the_test_pairs_equal_seeds(two_models, write_run):
    runs = [run for name, run in two_models.runs.items() if name != "vgg11_bn_0"]
    runs = [*reversed(runs), write_run("late", {"val/acc": 0.1}, seed=7)]
    groups = RunGroups(Comparison(runs))
    best, other = groups.ordered("val/acc")
    found = groups.difference(best, other, "val/acc")
    expected = stats.ttest_rel(SECOND[1:], FIRST[1:])
    assert found.difference.n == 2
    assert found.p_value == pytest.approx(expected.pvalue)
    assert groups.difference(best, other, "val/loss").difference.mean < 0


def test_groups_without_common_seeds_have_no_test(write_run):
    runs = [write_run("a", {"val/acc": 0.5}), write_run("b", {"val/acc": 0.6}, lr=0.2, seed=1)]
    groups = RunGroups(Comparison(runs))
    assert not groups.has_repetitions
    assert groups.difference(*groups.groups, "val/acc") is None


def test_folds_are_repetitions(write_run):
    runs = [write_run(str(fold), {"val/acc": 0.8 + fold / 100}, fold=fold) for fold in range(5)]
    groups = RunGroups(Comparison(runs))
    assert [group.label for group in groups.groups] == ["all runs"]
    assert groups.repetitions == "folds"
    assert groups.summary(groups.groups[0], "val/acc").n == 5


def test_by_groups_by_a_setting_and_pairs_by_all_others(write_run):
    runs = [
        write_run(f"{model}{lr}{seed}", {"val/acc": lr + seed / 100}, model=model, lr=lr, seed=seed)
        for model in ("vgg11_bn", "vgg13_bn")
        for lr in (0.1, 0.2)
        for seed in (0, 1)
    ]
    comparison = Comparison(runs)
    groups = RunGroups(comparison, ["model"])
    assert [len(group.members) for group in groups.groups] == [4, 4]
    assert groups.varying == ["optimizer.lr", "seed"]
    assert groups.repetitions == "runs"
    assert groups.difference(*groups.groups, "val/acc").difference.mean == pytest.approx(
        0, abs=1e-12
    )
    assert [len(group.members) for group in RunGroups(comparison).groups] == [2] * 4
    for name in ("lr", "optimizer", "optimizer.lr"):
        assert RunGroups(comparison, [name]).by == ["optimizer.lr"]
    with pytest.raises(InputError, match=r"by=modle: unknown setting\. Did you mean 'model'"):
        RunGroups(comparison, ["modle"])


def test_the_variant_is_the_model_as_on_the_command_line(make_run):
    runs = [make_run("a", {"val/acc": 0.5}), make_run("b", {"val/acc": 0.6}, "model=vgg11_bn")]
    groups = RunGroups(Comparison(runs), ["model"])
    assert groups.names == ["model"]
    assert [group.label for group in groups.groups] == ["model=vgg13_bn", "model=vgg11_bn"]


def test_of_equal_runs_the_last_counts(write_run):
    runs = [write_run("a", {"val/acc": 0.1}), write_run("b", {"val/acc": 0.5})]
    groups = RunGroups(Comparison([*runs, write_run("c", {"val/acc": 0.6}, seed=1)]))
    assert groups.repeated == ["a"]
    assert list(groups.groups[0].members.values()) == ["b", "c"]


def test_values_that_are_missing_or_not_finite_are_left_out(write_run):
    finals = [{"val/acc": 0.5}, {"val/acc": float("nan")}, {}, {"val/acc": 0.7}]
    runs = [write_run(str(seed), metrics, seed=seed) for seed, metrics in enumerate(finals)]
    groups = RunGroups(Comparison(runs))
    summary = groups.summary(groups.groups[0], "val/acc")
    assert (summary.n, summary.mean) == (2, pytest.approx(0.6))


def test_curves_are_means_with_deviations(write_run):
    history = "epoch,step,val/acc\n1,4,{}\n2,8,{}\n"
    runs = [
        write_run("a", {"val/acc": 0.4}, history=history.format(0.2, 0.4)),
        write_run("b", {"val/acc": 0.8}, seed=1, history=history.format(0.4, 0.8)),
        write_run("running", {}, seed=2, history=history.format(0.9, 0.9).rpartition("2,8")[0]),
        write_run("c", {}, seed=1, lr=0.3, history=history.format(0.1, 0.2)),
    ]
    curves = RunGroups(Comparison(runs)).curves(["val/acc"])["val/acc"]
    mean, single = curves["lr=0.1"], curves["lr=0.3"]
    assert mean.epochs == [1, 2]
    assert mean.values == pytest.approx([0.3, 0.6])
    assert mean.deviations == pytest.approx([0.02**0.5, 0.08**0.5])
    assert single == ([1, 2], [0.1, 0.2])


def test_labels_are_complete_and_numbers_are_in_the_order_of_a_metric(write_run):
    tail = "x" * 80
    runs = [
        write_run(letter, {"val/acc": value}, compile=f"{letter}{tail}")
        for letter, value in (("a", 0.5), ("b", 0.6))
    ]
    groups = RunGroups(Comparison(runs))
    assert [group.label for group in groups.groups] == [f"compile=a{tail}", f"compile=b{tail}"]
    assert [group.label for group in groups.numbered("val/acc").groups] == ["group 2", "group 1"]


@pytest.fixture
def two_optimizers(make_run):
    made = [
        make_run(f"{name}{seed}", {"val/acc": 0.5}, f"optimizer={name}", f"seed={seed}")
        for name in ("sgd", "adamw")
        for seed in (0, 1)
    ]
    return Comparison(made)


def test_settings_that_an_option_determines_name_no_group(two_optimizers):
    groups = RunGroups(two_optimizers)
    assert [group.label for group in groups.groups] == ["optimizer=sgd", "optimizer=adamw"]
    assert groups.names == groups.shown == ["optimizer"]
    assert groups.groups[0].settings["optimizer.lr"] == 0.1
    assert RunGroups(two_optimizers, ["lr"]).names == ["lr"]
    assert RunGroups(two_optimizers, ["optimizer", "lr"]).names == ["optimizer", "lr"]
    assert RunGroups(two_optimizers, ["seed"]).paired == ["optimizer"]


def test_a_setting_with_several_values_for_an_option_names_groups(two_optimizers, make_run):
    other = make_run("c", {"val/acc": 0.5}, "optimizer=sgd", "optimizer.lr=0.2")
    groups = RunGroups(Comparison([*two_optimizers.runs.values(), other]))
    assert groups.names == ["optimizer", "lr"]
    assert groups.groups[-1].label == "optimizer=sgd, lr=0.2"


@pytest.mark.parametrize("name", ["model", "model.width", "width", "trainer.max_epochs"])
def test_a_known_setting_that_is_constant_is_named_as_such(name, two_optimizers):
    message = rf"^by={name}: is the same in all runs; settings that differ: optimizer, .*seed$"
    with pytest.raises(InputError, match=message):
        RunGroups(two_optimizers, [name])


def test_an_unknown_setting_has_a_near_match_among_all_settings(two_optimizers):
    with pytest.raises(
        InputError, match=r"by=widht: unknown .*'width'\? Settings that differ: opt"
    ):
        RunGroups(two_optimizers, ["widht"])


def test_a_setting_that_follows_another_stands_for_it(two_optimizers):
    assert RunGroups(two_optimizers, ["data.seed"]).by == ["seed"]


def test_of_equal_runs_a_finished_one_counts_then_the_last_started(write_run):
    runs = [
        write_run("z_old", {"val/acc": 0.5}),
        write_run("a_new", {"val/acc": 0.6}),
        write_run("y_unfinished", {}),
        write_run("other", {"val/acc": 0.7}, lr=0.2),
    ]
    for age, run in enumerate(runs):
        os.utime(run.config_file, (1000 + age, 1000 + age))
    groups = RunGroups(Comparison(runs))
    assert list(groups.groups[0].members.values()) == ["a_new"]
    assert sorted(groups.repeated) == ["y_unfinished", "z_old"]


@pytest.mark.parametrize("sort", ["model", "val/loss", "parameters", "status"])
def test_columns_with_one_value_in_each_group_rank_the_groups(sort, two_models):
    RunGroups(two_models).check_order(sort)


@pytest.mark.parametrize("sort", ["seed", "run"])
def test_columns_with_several_values_in_a_group_are_refused(sort, two_models):
    allowed = "model, val/acc, val/loss, seconds, parameters, status"
    with pytest.raises(InputError, match=f"^sort={sort}: .*; allowed: {allowed}$"):
        RunGroups(two_models).check_order(sort)


def test_groups_are_in_the_order_of_their_parameters(write_run):
    widths = {"vgg19": 0.9, "vgg11": 0.5, "vgg16": 0.7}
    runs = [
        write_run(f"{model}_{seed}", {"val/acc": acc}, model=model, seed=seed)
        for model, acc in widths.items()
        for seed in (0, 1)
    ]
    found = RunGroups(Comparison(runs)).ordered("parameters")
    assert [group.label for group in found] == ["model=vgg11", "model=vgg16", "model=vgg19"]


def test_settings_without_an_effect_on_the_results_do_not_split_groups(write_run):
    norms = {"tensorboard": {"_target_": "x.TensorBoard", "norms": 5}}
    runs = [
        write_run(
            f"{lr}_{seed}",
            {"val/acc": 0.5 + seed / 10},
            lr=lr,
            seed=seed,
            name=f"{lr}_s{seed}",
            objective="val/loss" if seed else "val/acc",
            **({"callbacks": norms} if seed else {}),
            logger={"csv": {"save_dir": str(seed)}},
            trainer={"profiler": "simple" if seed else None, "max_epochs": 5},
        )
        for lr in (0.1, 0.2)
        for seed in (0, 1)
    ]
    comparison = Comparison(runs)
    groups = RunGroups(comparison)
    assert groups.by == ["optimizer.lr"]
    assert groups.varying == ["seed"]
    assert [len(group.members) for group in groups.groups] == [2, 2]
    assert groups.difference(*groups.groups, "val/acc").difference.n == 2
    assert "name" in comparison.columns
    assert len(RunGroups(comparison, by=["name"]).groups) == 4


def test_the_number_of_test_images_is_a_setting_with_an_effect(write_run):
    runs = [
        write_run(str(size), {"test/acc": 0.5}, data={"num_classes": 10, "test_size": size})
        for size in (40, 50)
    ]
    assert RunGroups(Comparison(runs)).by == ["data.test_size"]


def test_labels_have_values_as_on_the_command_line(write_run):
    runs = [
        write_run(str(folds), {"val/acc": 0.5}, data={"num_classes": 10, "folds": folds})
        for folds in (None, 5)
    ]
    labels = [group.label for group in RunGroups(Comparison(runs)).groups]
    assert labels == ["folds=null", "folds=5"]


USUAL = {"lr": 0.1, "compile": False, "freeze": "none", "small_map_gemm": "auto"}


@pytest.fixture
def ablation(write_run):
    """Two seeds of the usual settings, and of each change of one of the four."""
    changes = ({}, {"lr": 0.2}, {"compile": True}, {"freeze": "all"}, {"small_map_gemm": "off"})
    return [
        write_run(f"{n}_{seed}", {"val/acc": 0.5 + n / 10}, seed=seed, **USUAL | change)
        for n, change in enumerate(changes)
        for seed in (0, 1)
    ]


def test_labels_leave_out_the_settings_that_most_groups_have(ablation):
    groups = RunGroups(Comparison(ablation))
    labels = [group.label for group in groups.groups]
    assert labels == [
        "usual settings",
        "lr=0.2",
        "compile=true",
        "freeze=all",
        "small_map_gemm=off",
    ]
    assert sorted(groups.usual) == ["compile=false", "freeze=none", "lr=0.1", "small_map_gemm=auto"]
    assert groups.usual_settings in group_table(groups, "val/acc").remarks
    for named in (groups, groups.numbered("val/acc")):
        reference, others = named.compared("val/acc")
        assert reference.settings == groups.groups[0].settings
        assert others == [one for one in named.ordered("val/acc") if one != reference]
    latex = paper_table(groups, "val/acc")
    assert "    usual settings & " in latex
    assert f"The best of each metric is bold. {escape_latex(groups.usual_settings)}" in latex


def test_labels_have_all_settings_if_they_are_few_or_no_group_has_several_runs(ablation):
    for runs in (ablation[:8], ablation[::2]):
        groups = RunGroups(Comparison(runs))
        assert groups.usual == []
        assert groups.compared("val/acc")[0] == groups.ordered("val/acc")[0]
        assert groups.groups[0].label.count("=") >= 3
        assert all("usual" not in remark for remark in group_table(groups, "val/acc").remarks)

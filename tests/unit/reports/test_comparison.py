"""Runs are compared by differing settings and sorted by metrics."""

import json
import math
import os
from pathlib import Path

import pytest

from vgg_lit.errors import InputError
from vgg_lit.reports.comparison import Comparison, find_runs
from vgg_lit.runs import Run
from vgg_lit.sweeps import Sweep


def test_only_differing_settings_are_columns(make_run):
    runs = [make_run("a", {"val/acc": 0.5}), make_run("b", {"val/acc": 0.6}, "seed=1")]
    comparison = Comparison(runs)
    assert comparison.differences == {
        "seed": {"a": 0, "b": 1}
    }  # and not data.seed, which follows it
    rows = comparison.rows("val/acc")
    assert list(rows[0]) == ["run", "seed", "val/acc", "seconds", "parameters", "status"]
    net = sum(p.numel() for p in net_of(runs[0]).parameters())
    assert rows[0] == {
        "run": "b",
        "seed": 1,
        "val/acc": 0.6,
        "seconds": None,
        "parameters": net,
        "status": "done",
    }


def net_of(run):
    from vgg_lit.targets import instantiate

    return instantiate(run.config["model"], key="model")


ADAM = ("optimizer=adam", "optimizer.lr=0.1", "optimizer.weight_decay=5e-4")


def test_a_different_target_is_one_difference(make_run):
    """Adam has no momentum and SGD no betas; such settings are not listed."""
    runs = [make_run("a", {}), make_run("b", {}, *ADAM)]
    assert Comparison(runs).differences == {"optimizer": {"a": "sgd", "b": "adam"}}
    runs.append(make_run("c", {}, *ADAM, "optimizer.betas=[0.8,0.9]"))
    differences = Comparison(runs).differences
    assert differences["optimizer.betas"]["c"] == "[0.8, 0.9]"
    assert "optimizer.momentum" not in differences


def test_a_callback_that_only_one_run_has_is_a_difference(make_run):
    runs = [make_run("a", {}), make_run("b", {}, "callbacks=[default,ema]")]
    values = list(Comparison(runs).differences.values())
    assert len(values) == 1
    assert values[0]["a"] is None
    assert isinstance(values[0]["b"], str)


@pytest.fixture
def four(make_run):
    figures = [(0.5, 0.9, 30), (0.7, 0.4, 20), (0.6, math.nan, 10)]
    runs = [
        make_run(str(i), {"val/acc": a, "val/loss": b, "seconds": s}, f"seed={i}")
        for i, (a, b, s) in enumerate(figures)
    ]
    return Comparison([*runs, make_run("3", {}, "seed=3")])


@pytest.mark.parametrize(
    ("column", "order"),
    [
        ("val/acc", "1203"),
        ("val/loss", "1023"),
        ("seconds", "2103"),
        ("seed", "0123"),
        ("run", "0123"),
        ("status", "0123"),
    ],
)
def test_rows_are_sorted_best_first_and_missing_values_last(four, column, order):
    assert "".join(row["run"] for row in four.rows(column)) == order


def test_labels_are_short_settings_or_names(make_run):
    a, b = make_run("a", {}), make_run("b", {}, "seed=1", "optimizer.lr=0.5")
    assert list(Comparison([a, b]).labels().values()) == ["lr=0.1  seed=0", "lr=0.5  seed=1"]
    same = make_run("c", {}, "seed=1", "optimizer.lr=0.5")
    assert list(Comparison([a, b, same]).labels().values()) == ["a", "b", "c"]


def test_curves_are_grouped_by_metric_and_run(make_run):
    a = make_run("a", {}, history="epoch,step,train/loss,val/acc\n1,4,0.9,0.1\n2,8,0.5,\n")
    b = make_run("b", {}, "seed=1", history="epoch,step,train/loss\n1,4,0.7\n")
    c = make_run("c", {}, "seed=2")
    comparison = Comparison([a, b, c])
    assert comparison.curves() == {
        "train/loss": {"seed=0": ([1, 2], [0.9, 0.5]), "seed=1": ([1], [0.7])},
        "val/acc": {"seed=0": ([1], [0.1])},
    }
    assert list(comparison.curves(["step"])) == ["step"]
    with pytest.raises(InputError, match=r"unknown epoch metric 'val/los'.*train/loss"):
        comparison.curves(["val/los"])


def test_find_runs_accepts_sweeps_directories_and_globs(make_run, tmp_path):
    for place in (
        "runs/vgg11/x",
        "runs/vgg13/y",
        "sweeps/s/0",
        "sweeps/s/1",
        "sweeps/s/1.attempt0",
    ):
        make_run(place, {})
    sweep = Sweep(tmp_path / "sweeps/s")
    for number in "012":  # the last job has not started
        sweep.add([f"seed={number}"], number)
    sweep.write()

    def found(*places):
        runs = find_runs([str(tmp_path / place) for place in places])
        return [run.path.relative_to(tmp_path).as_posix() for run in runs]

    assert found("runs") == ["runs/vgg11/x", "runs/vgg13/y"]
    assert found("sweeps/s") == found("sweeps") == ["sweeps/s/0", "sweeps/s/1"]
    assert found("runs/*", "runs/vgg11/x") == ["runs/vgg11/x", "runs/vgg13/y"]
    assert found("runs/vgg13/y", "sweeps/s/0") == ["runs/vgg13/y", "sweeps/s/0"]
    with pytest.raises(InputError, match="no such directory"):
        found("runs/vgg16")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="contains no run"):
        found("empty")


def test_latest_is_the_sweep_of_the_newest_run(make_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_run("logs/runs/vgg11/x", {})
    for number in "01":
        make_run(f"logs/sweeps/a/s/{number}", {})
    os.utime("logs/runs/vgg11/x/overrides.txt", (1, 1))
    found = [run.path.as_posix() for run in find_runs(["latest"])]
    assert found == ["logs/sweeps/a/s/0", "logs/sweeps/a/s/1"]
    found = [run.path.as_posix() for run in find_runs(["logs/runs", "latest"])]
    assert found == ["logs/runs/vgg11/x", "logs/sweeps/a/s/0", "logs/sweeps/a/s/1"]


def test_a_single_run_raises(make_run):
    with pytest.raises(InputError, match=r"1 run found: .*; at least 2"):
        Comparison([make_run("a", {})])


def of_target(runs, target):
    for run in runs:
        text = run.config_file.read_text()
        run.config_file.write_text(text.replace("vgg_lit.models.x", target))
    return runs


@pytest.mark.parametrize("target", ["os.system", "torch.hub.load"])
def test_no_message_proposes_to_trust_python_or_torch(target, write_run):
    runs = of_target([write_run(name, {}, model="x") for name in "ab"], target)
    with pytest.raises(InputError, match=r"0 run found.*only names under"):
        Comparison(runs)


def test_runs_of_a_package_that_is_not_trusted_are_one_short_message(write_run):
    runs = of_target([write_run(name, {}, model="x") for name in "ab"], "mine.network.SmallNet")
    with pytest.raises(InputError) as refused:
        Comparison(runs)
    assert str(refused.value) == (
        "model._target_=mine.network.SmallNet: its package is not trusted; to compare its runs: "
        "trusted_targets=[mine]"
    )


def test_unknown_names_raise_with_the_available_ones(four):
    with pytest.raises(InputError, match=r"unknown column 'test/acc'.*val/acc.*seconds"):
        four.rows("test/acc")
    with pytest.raises(InputError, match=r"unknown metric 'val/ac'.*'val/acc'"):
        Comparison(list(four.runs.values()), metrics=["val/ac"])


def test_damaged_metrics_raise_input_error(make_run):
    a, b = make_run("a", {"val/acc": 1}), make_run("b", {"val/acc": 1})
    (b.path / "metrics.json").write_text(json.dumps({})[:1])
    with pytest.raises(InputError, match=r"metrics\.json: cannot be read"):
        Comparison([a, b])


def test_options_of_groups_have_the_names_that_were_typed(make_run):
    made = [
        make_run(f"{name}{seed}", {"val/acc": 0.5}, f"augment={name}", f"seed={seed}")
        for name in ("none", "flip_crop_erasing")
        for seed in (0, 1)
    ]
    options = Comparison(made).differences["augment"].values()
    assert list(options) == ["none"] * 2 + ["flip_crop_erasing"] * 2
    made.append(make_run("default", {"val/acc": 0.5}, "seed=2"))
    assert Comparison(made).differences["augment"]["default"] == "flip_shift"


def test_attempts_that_were_set_aside_are_not_runs(make_run, tmp_path):
    for name in ("trials/0", "trials/0.attempt1", "trials/1"):
        make_run(name, {"val/acc": 0.5})
    for place in ("trials", "trials/*", "trials/[01]*"):
        found = find_runs([str(tmp_path / place)])
        assert [run.path.name for run in found] == ["0", "1"]
    (attempt,) = find_runs([str(tmp_path / "trials/0.attempt1")])
    assert attempt.path.name == "0.attempt1"
    with pytest.raises(InputError, match="no match as a glob"):
        find_runs([str(tmp_path / "trials/0.*")])


def test_a_folder_of_another_user_is_left_out(make_run, tmp_path, monkeypatch, capsys):
    """Simulated, because root may read every folder."""
    runs = [make_run("a", {}), make_run("b", {})]
    closed = make_run("c", {}).path
    is_file = Path.is_file

    def refuse(path, *arguments):
        if path.is_relative_to(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path, *arguments)

    monkeypatch.setattr(Path, "is_file", refuse)
    found = find_runs([str(closed.parent)])
    assert [run.path for run in found] == [run.path for run in runs]
    assert f"{closed}: Permission denied; left out" in capsys.readouterr().err.replace("\n", " ")


def test_a_run_whose_files_another_user_closed_is_left_out(make_run, monkeypatch):
    runs = [make_run("a", {}), make_run("b", {}), make_run("c", {})]

    def refuse(run):
        raise PermissionError(13, "Permission denied", str(run.path))

    status = Run.status
    monkeypatch.setattr(
        Run, "status", property(lambda run: refuse(run) if run is runs[2] else status.fget(run))
    )
    assert Comparison(runs).left_out == [f"{runs[2].path}: Permission denied"]

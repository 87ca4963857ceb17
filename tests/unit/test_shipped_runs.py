"""Shipped weights as runs, and the choice between `run` and `weights`."""

from pathlib import Path

import pytest

from vgg_lit.errors import InputError
from vgg_lit.models.shipped import SHIPPED
from vgg_lit.runs import Run
from vgg_lit.shipped_runs import ShippedRun, check_outputs, find_networks


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_are_a_run_whose_results_are_outside_of_the_package(name):
    (run,) = find_networks(None, name)
    assert isinstance(run, ShippedRun)
    assert run.outputs == Path("logs/weights", name)
    assert run.checkpoint("best") == run.checkpoint("last")
    assert run.config["data"]["num_classes"] == 10


def test_unknown_weights_are_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"unknown weights 'cifar'\. Did you mean 'cifar10'\?"):
        find_networks(None, "cifar")


@pytest.mark.parametrize(("run", "weights"), [(None, None), ("x", "cifar10"), ([], "cifar10")])
def test_exactly_one_of_run_and_weights_is_set(run, weights):
    with pytest.raises(InputError, match="run: set exactly one of run=<run directory> and weights"):
        find_networks(run, weights)


def test_one_run_or_several_are_found_in_their_order(tmp_path):
    runs = [Run.start(tmp_path / name, {"seed": 0}, []) for name in ("b", "a")]
    assert [run.path for run in find_networks(str(runs[0].path), None)] == [runs[0].path]
    paths = [str(run.path) for run in runs]
    assert [str(run.path) for run in find_networks(paths, None)] == paths
    with pytest.raises(InputError, match="nowhere"):
        find_networks([*paths, "nowhere"], None)


@pytest.mark.parametrize("name", ["report.html", "evaluations/x.json", "figures/history.png"])
def test_a_folder_with_the_name_of_a_result_is_refused(name, tmp_path):
    run = Run.start(tmp_path / "run", {"seed": 0}, [])
    (run.path / "figures" / "mine").mkdir(parents=True)
    check_outputs(run)
    (run.path / name).mkdir(parents=True)
    with pytest.raises(InputError, match=f"{name}: is a folder, but a file is written there"):
        check_outputs(run)


def test_a_run_of_another_user_is_refused_with_a_remedy(tmp_path, monkeypatch):
    run = Run.start(tmp_path / "run", {"seed": 0}, [])
    check_outputs(run)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(InputError, match=r"not a writable folder; copy the run into a folder"):
        check_outputs(run)

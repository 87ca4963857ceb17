"""The train command's task, with a training that only returns metrics."""

from types import SimpleNamespace

import pytest
from hydra.types import RunMode

from vgg_lit import training_task
from vgg_lit.checkpoints.storage import SCHEMA, write_checkpoint
from vgg_lit.errors import InputError
from vgg_lit.runs import Run
from vgg_lit.system.claims import is_held
from vgg_lit.training import experiment


@pytest.fixture
def train(compose, monkeypatch, tmp_path):
    """`train("seed=1", metrics={...})`: the objective; `train.seen` are the arguments of trainings."""
    folder = tmp_path / "logs" / "run"
    folder.mkdir(parents=True)

    def train(*overrides, metrics=None, mode=RunMode.RUN):
        hydra = SimpleNamespace(
            runtime=SimpleNamespace(output_dir=str(folder)),
            overrides=SimpleNamespace(task=list(overrides)),
            mode=mode,
        )
        monkeypatch.setattr(training_task, "HydraConfig", SimpleNamespace(get=lambda: hydra))

        def run_experiment(plain, path, typed, resumed, report):
            assert is_held(path)
            train.seen.append((plain, resumed, report))
            return metrics or {}

        monkeypatch.setattr(experiment, "run_experiment", run_experiment)
        return training_task.train(compose("trainer.accelerator=cpu", *overrides))

    train.seen, train.folder = [], folder
    return train


FOUND = {"val/acc": 0.5, "test/acc": 0.4}


def test_the_objective_is_returned_and_the_claim_released(train):
    assert train("seed=5", metrics=FOUND) == 0.5
    ((plain, resumed, report),) = train.seen
    assert plain["seed"] == 5
    assert resumed is None
    assert report is None
    assert not is_held(train.folder)


def test_an_objective_that_is_not_a_metric_is_reported(train, capsys):
    assert train("objective=val/f1", metrics=FOUND) is None
    assert (
        "warning: objective=val/f1: is not a metric of this run; available: val/acc, test/acc"
        in (capsys.readouterr().err)
    )


@pytest.mark.parametrize(("overrides", "warns"), [((), False), (("objective=val/acc",), True)])
def test_a_default_objective_without_validation_is_no_mistake(overrides, warns, train, capsys):
    assert train(*overrides, metrics={"test/acc": 0.4}) is None
    assert ("objective=val/acc" in capsys.readouterr().err) == warns


def test_a_refused_config_leaves_no_folder_and_no_claim(train):
    with pytest.raises(InputError, match="seed"):
        train("seed=-1")
    assert not train.folder.exists()
    assert not is_held(train.folder)


def test_a_folder_with_a_run_is_refused_and_kept(train):
    Run.start(train.folder, {"seed": 0}, [])
    with pytest.raises(InputError, match="already holds a run"):
        train()
    assert Run(train.folder).config["seed"] == 0
    assert train.seen == []


def test_there_has_to_be_a_run_to_resume(train):
    with pytest.raises(
        InputError, match=r"^resume=logs/nothing: there is no run in that directory"
    ):
        train("resume=logs/nothing")
    with pytest.raises(InputError, match=r"did you mean resume=latest\?$"):
        train("resume=lastest")


@pytest.mark.parametrize("mode", [RunMode.RUN, RunMode.MULTIRUN])
def test_several_devices_in_a_job_of_another_launcher_are_refused(mode, train):
    overrides = ("trainer.devices=2",)
    if mode == RunMode.MULTIRUN:
        with pytest.raises(
            InputError, match=r"^trainer\.devices=2: allowed only with hydra/launcher"
        ):
            train(*overrides, mode=mode)
    else:
        assert train(*overrides, mode=mode, metrics=FOUND) == 0.5


def test_a_job_that_is_done_is_not_trained_again(train):
    run = Run.start(train.folder, {"objective": "val/acc"}, ["seed=5"])
    run.write_metrics({"val/acc": 0.7})
    run.set_status("done")
    run.checkpoints.mkdir()
    write_checkpoint({"vgg_lit": {"schema": SCHEMA}}, run.checkpoints / "last.ckpt")
    assert train("seed=5", mode=RunMode.MULTIRUN) == 0.7
    assert train.seen == []
    with pytest.raises(InputError, match="contains another job"):
        train("seed=6", mode=RunMode.MULTIRUN)


def test_a_done_job_needs_no_objective_in_its_config(train):
    run = Run.start(train.folder, {"seed": 5}, ["seed=5"])
    run.write_metrics({"val/acc": 0.7})
    run.set_status("done")
    assert train("seed=5", mode=RunMode.MULTIRUN) == 0.7
    assert train.seen == []


@pytest.mark.parametrize(
    ("name", "is_folder"),
    [("figures", False), ("checkpoints", False), ("metrics.csv", True), ("confusion.csv", True)],
)
def test_a_name_that_is_not_free_is_refused_before_the_training(name, is_folder, train):
    path = train.folder / name
    path.mkdir() if is_folder else path.touch()
    with pytest.raises(InputError, match=f"{name}: is (not )?a folder"):
        train("metrics=confusion")
    assert train.seen == []


def test_values_that_an_earlier_attempt_found_are_not_those_of_a_new_run(train):
    (train.folder / "found.json").write_text('{"optimizer.lr": {"typed": 0.1, "found": 0.2}}')
    train(metrics=FOUND)
    assert not (train.folder / "found.json").exists()
    assert (train.folder / "found.json.replaced").exists()

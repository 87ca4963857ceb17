"""Loggers: several at once, services, and the identity of a run at them."""

import csv
import json

import pytest
from lightning.pytorch.loggers import Logger

from vgg_lit.config.checks import to_plain
from vgg_lit.errors import ConfigError
from vgg_lit.system.recorded_overrides import as_lines
from vgg_lit.training import loggers as module
from vgg_lit.training.loggers import build_loggers, record_end, record_start
from vgg_lit.training.services import SERVICES, Service

WANDB = "lightning.pytorch.loggers.WandbLogger"
OPTIONS = ("tensorboard", "csv", "wandb", "mlflow", "comet", "aim")


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_has_a_logger_of_its_name(option, compose):
    plain = to_plain(compose(f"logger={option}"))
    assert list(plain["logger"]) == [option]


def test_several_options_are_combined(compose):
    plain = to_plain(compose("logger=[tensorboard,csv,mlflow]"))
    assert list(plain["logger"]) == ["tensorboard", "csv", "mlflow"]
    assert to_plain(compose("logger=none"))["logger"] == {}
    assert list(to_plain(compose("logger=[csv,none]"))["logger"]) == ["csv"]


class Recorder(Logger):
    """Keeps what it is given."""

    made = 0

    def __init__(self, label=None, number=None, words=None, save_dir="."):
        super().__init__()
        self.given = {"label": label, "words": words}
        if number is None:
            Recorder.made += 1
        self.number = number or f"id{Recorder.made}"
        self.parameters, self.rows, self.finished = {}, [], []
        self.figures = []

    @property
    def name(self):
        return "recorder"

    @property
    def version(self):
        return self.number

    def log_hyperparams(self, params):
        self.parameters |= params

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, dict(metrics)))

    def finalize(self, status):
        self.finished.append(status)


@pytest.fixture
def service(monkeypatch):
    """A service whose logger is `Recorder`; returns its config."""
    Recorder.made = 0
    target = "lightning.pytorch.loggers.Recorder"
    monkeypatch.setitem(
        SERVICES,
        target,
        Service(
            "json",
            "pip install x",
            "label",
            "number",
            "words",
            lambda log, f: log.figures.append(f.name),
        ),
    )
    monkeypatch.setattr(module, "locate", lambda name, **_: Recorder)
    monkeypatch.setattr(module, "instantiate", lambda spec, key, **kw: Recorder(**kw))
    return {"_target_": target}


def test_a_run_reaches_a_service_and_a_resumed_run_continues_there(service, tmp_path):
    config = {"seed": 3, "logger": {"it": service}, "tags": ["a"], "metrics": {"f1": {}}}
    (first,) = build_loggers(config["logger"], tmp_path / "run7", tags=config["tags"])
    assert first.given == {"label": "run7", "words": ["a"]}
    path = tmp_path / "run7"
    (path / "figures").mkdir(parents=True)
    (path / "figures" / "confusion.png").touch()
    record_start([first], config, path)
    assert first.parameters["seed"] == 3
    assert first.parameters["run"] == "run7"
    record_end([first], config, {"test/acc": 0.5, "test/f1": 0.4, "other": 1.0}, path, step=9)
    assert first.rows == [(9, {"final/test/acc": 0.5, "final/test/f1": 0.4})]
    assert first.figures == ["confusion.png"]
    assert first.finished == ["success"]
    (again,) = build_loggers(config["logger"], path, first_step=4)
    assert again.version == first.version == "id1"
    (other,) = build_loggers(config["logger"], tmp_path / "run8")
    assert other.version != first.version


def test_a_recorded_identity_of_another_service_is_ignored(service, tmp_path):
    record = {"it": {"_target_": "x.Other", "id": "id9"}}
    (tmp_path / "loggers.json").write_text(json.dumps(record))
    assert build_loggers({"it": service}, tmp_path)[0].version == "id1"


def test_the_hyperparameters_are_the_main_settings_and_the_typed_ones(tmp_path):
    typed = ("model=vgg11_bn", "seed=2", "+data.train_size=100", "data.augment=null", "test=false")
    (tmp_path / "overrides.txt").write_text(as_lines([*typed, "callbacks=[default,tensorboard]"]))
    config = {
        **{"seed": 2, "model": {"variant": "vgg11_bn"}, "optimizer": {"lr": 0.1}, "test": False},
        **{"data": {"batch_size": 64, "train_size": 100, "augment": None}, "callbacks": {"a": {}}},
    }
    assert module._hyperparameters(config, tmp_path) == {
        **{"seed": 2, "model": "vgg11_bn", "optimizer.lr": 0.1, "data.batch_size": 64},
        **{"data.train_size": 100, "data.augment": "null"},
    }


def test_damaged_overrides_are_no_hyperparameters(tmp_path):
    damaged = ("[=3", "..seed=1", "tags.x=2", "seed=2", "a b=1", "model=vgg16")
    (tmp_path / "overrides.txt").write_text(as_lines(damaged))
    found = module._hyperparameters({"seed": 2, "tags": ["a"]}, tmp_path)
    assert found == {"seed": 2, "..seed": "1", "model": "vgg16"}


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ("wandb", 'pip install "vgg_lit[wandb]"'),
        ("mlflow", 'pip install "vgg_lit[mlflow]"'),
        ("comet", "pip install comet-ml"),
        ("aim", "pip install aim"),
    ],
)
def test_a_missing_package_is_one_line(option, remedy, compose, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    specs = to_plain(compose(f"logger={option}"))["logger"]
    with pytest.raises(ConfigError, match=rf"^logger\.{option}: needs \w+: ") as caught:
        build_loggers(specs, tmp_path)
    assert str(caught.value).endswith(remedy)


def test_the_csv_file_of_a_resumed_run_keeps_the_rows_before_it(train, resume, tmp_path):
    run = train(tmp_path / "run", "logger=csv", "trainer.max_epochs=2")
    file = run.path / "csv" / "metrics.csv"
    before = list(csv.DictReader(file.open()))
    assert (run.path / "csv" / "hparams.yaml").is_file()
    resume(run, "trainer.max_epochs=3")
    after = list(csv.DictReader(file.open()))
    kept = [row["val/acc"] for row in before if row["val/acc"]]
    assert [row["val/acc"] for row in after if row["val/acc"]][:2] == kept
    assert len([row for row in after if row["val/acc"]]) == 3


def test_a_run_with_csv_and_tensorboard_logs_the_same_values(train, tmp_path):
    run = train(tmp_path / "run", "logger=[tensorboard,csv]", "metrics=[f1,confusion]")
    rows = list(csv.DictReader((run.path / "csv" / "metrics.csv").open()))
    (found,) = [row["val/f1_macro"] for row in rows if row["val/f1_macro"]]
    assert float(found) == pytest.approx(run.metrics["val/f1_macro"])
    assert list((run.path / "tensorboard").glob("events*"))
    assert len((run.path / "confusion.csv").read_text().splitlines()) == 11
    assert (run.path / "figures" / "confusion.png").is_file()


def test_wandb_offline_resumes_in_the_same_run(train, resume, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    run = train(tmp_path / "run", "logger=wandb", "tags=[x]")
    identity = json.loads((run.path / "loggers.json").read_text())["wandb"]["id"]
    resume(run, "trainer.max_epochs=2")
    files = list((run.path / "wandb").glob("offline-run-*"))
    assert {file.name.rpartition("-")[2] for file in files} == {identity}


def test_mlflow_resumes_in_the_same_run(train, resume, tmp_path):
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    options = (
        "logger=mlflow",
        f"logger.mlflow.tracking_uri={uri}",
        "tags=[x]",
        "metrics=confusion",
    )
    run = train(tmp_path / "run", *options)
    resume(run, "trainer.max_epochs=2")
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("vgg_lit")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.run_name == "run"
    assert found.info.status == "FINISHED"
    assert found.data.tags["x"] == "true"
    assert found.data.tags["resumed/trainer/max_epochs"] == "2"
    assert found.data.params["optimizer/lr"] == "0.1"
    assert found.data.metrics["final/test/acc"] == pytest.approx(run.metrics["test/acc"])
    history = client.get_metric_history(found.info.run_id, "val/acc")
    assert [point.step for point in history] == [3, 7]
    figures = client.list_artifacts(found.info.run_id, "figures")
    assert [figure.path for figure in figures] == ["figures/confusion.png"]

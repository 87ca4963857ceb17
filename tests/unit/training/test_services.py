"""Arguments of the loggers of services, and the choice to write offline."""

import os
from pathlib import Path

import pytest

from vgg_lit.training.services import SERVICES, arguments_of, online_or_offline

WANDB = "lightning.pytorch.loggers.WandbLogger"
MLFLOW = "lightning.pytorch.loggers.MLFlowLogger"
AIM = "aim.pytorch_lightning.AimLogger"
COMET = "lightning.pytorch.loggers.CometLogger"


@pytest.mark.parametrize(
    ("environment", "netrc", "offline"),
    [
        ({}, "", True),
        ({"WANDB_API_KEY": "x"}, "", False),
        ({}, "machine api.wandb.ai login user password x\n", False),
        ({}, "machine other.org login user password x\n", True),
        ({"WANDB_MODE": "offline", "WANDB_API_KEY": "x"}, "", True),
        ({"WANDB_MODE": "disabled"}, "", False),
    ],
)
def test_wandb_writes_offline_without_an_account(
    environment, netrc, offline, monkeypatch, tmp_path
):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "netrc").write_text(netrc)
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert online_or_offline({"_target_": WANDB, "offline": None})["offline"] is offline
    assert online_or_offline({"_target_": WANDB, "offline": False})["offline"] is False


def test_comet_writes_offline_without_an_account(monkeypatch, tmp_path):
    monkeypatch.delenv("COMET_API_KEY", raising=False)
    monkeypatch.setenv("COMET_START_ONLINE", "x")
    monkeypatch.delenv("COMET_START_ONLINE")
    monkeypatch.setenv("COMET_CONFIG", str(tmp_path / "none"))
    assert online_or_offline({"_target_": COMET, "online": None}) == {"_target_": COMET}
    assert os.environ["COMET_START_ONLINE"] == "false"


def given(target, spec=None, tags=("a", "b"), identity=None):
    found = {"_target_": target, **(spec or {})}
    return arguments_of(SERVICES[target], found, Path("logs/run7"), list(tags), identity)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (WANDB, {"name": "run7", "tags": ["a", "b"]}),
        (MLFLOW, {"run_name": "run7", "tags": {"a": "true", "b": "true"}}),
        (COMET, {"name": "run7", "tags": ["a", "b"], "offline_directory": "logs/run7/comet"}),
        (AIM, {"run_name": "run7"}),
    ],
)
def test_a_run_is_named_by_its_directory_and_tagged(target, expected):
    assert given(target) == expected
    without_tags = {key: value for key, value in expected.items() if key != "tags"}
    assert given(target, tags=()) == without_tags


@pytest.mark.parametrize("target", SERVICES)
def test_a_resumed_run_continues_at_its_service_alone(target):
    service = SERVICES[target]
    assert given(target, identity={"_target_": target, "id": "x1"})[service.identity] == "x1"
    assert service.identity not in given(target, identity={"_target_": "other", "id": "x1"})


def test_settings_of_the_config_are_kept():
    assert given(WANDB, {"name": "mine", "tags": []}) == {}
    assert given(WANDB, {"name": None}) == {"name": "run7", "tags": ["a", "b"]}


def test_the_files_of_mlflow_are_beside_its_database(tmp_path):
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    found = given(MLFLOW, {"tracking_uri": uri})
    assert found["artifact_location"] == (tmp_path / "new/mlflow_artifacts").as_uri()
    assert (tmp_path / "new").is_dir()
    for other in ("http://host:5000", "", None):
        assert "artifact_location" not in given(MLFLOW, {"tracking_uri": other})


def test_other_loggers_lose_their_empty_values_alone():
    spec = {"_target_": "lightning.pytorch.loggers.CSVLogger", "name": None, "version": ""}
    assert online_or_offline(spec) == {"_target_": spec["_target_"], "version": ""}
    assert spec["name"] is None


def test_a_chosen_mode_is_kept(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "x")
    for offline in (True, False):
        assert online_or_offline({"_target_": WANDB, "offline": offline})["offline"] is offline
    assert "offline" not in online_or_offline({"_target_": WANDB})


@pytest.mark.parametrize("content", [b"machine", b"\xff\xfe machine api.wandb.ai", b"login x"])
def test_a_damaged_netrc_is_no_account(content, monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "netrc").write_bytes(content)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert online_or_offline({"_target_": WANDB, "offline": None})["offline"] is True


@pytest.mark.parametrize("url", ["https://[half", "", "not a url"])
def test_an_address_that_is_none_is_no_account(url, monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", url)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    assert online_or_offline({"_target_": WANDB, "offline": None})["offline"] is True


@pytest.mark.parametrize("identity", [{"id": "x1"}, {"_target_": WANDB}, {}])
def test_an_incomplete_record_of_an_identity_is_ignored(identity):
    assert "id" not in given(WANDB, identity=identity)

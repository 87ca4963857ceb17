"""The command and the checks of a second training."""

from types import SimpleNamespace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from vgg_lit.errors import InputError, TrainingError
from vgg_lit.reports import training_again
from vgg_lit.reports.training_again import changes_of_resumes, checked_config, train_again

CHANGES = {
    "trainer.devices": 2,
    "tags": ["it's", "\u65e5\u672c", "a\\b", ""],
    "metrics": {"f1": {"_target_": "x", "top": None}},
    "name": "a, b='c'",
    "resume_note": "null",
    "optimizer.lr": 1e-7,
}


@pytest.fixture
def started(monkeypatch):
    """`started(code, changes)`: the overrides and the environment of the started command."""

    def started(code=0, changes=None, environment=None, trusted=()):
        calls = []

        def run(command, env, check):
            calls.append((command, env))
            return SimpleNamespace(returncode=code)

        monkeypatch.setattr(training_again.subprocess, "run", run)
        run_dir = SimpleNamespace(path="logs/a", environment=environment or {})
        settings = SimpleNamespace(changes=changes, trusted_targets=list(trusted))
        train_again(run_dir, "folder", "out dir/it's", settings)
        ((command, env),) = calls
        assert command[1:7] == [
            *("-m", "vgg_lit.train", "--config-path", "folder", "--config-name", "config"),
        ]
        parsed = OverridesParser.create().parse_overrides(command[7:])
        return {override.key_or_group: override.value() for override in parsed}, env

    return started


def test_values_reach_the_command_as_they_are(started):
    found, _ = started(changes=CHANGES, trusted=["mine"])
    for key, value in CHANGES.items():
        assert found[key] == value, key
    assert found["hydra.run.dir"] == "out dir/it's"
    assert found["trusted_targets"] == ["mine"]
    assert found["resume"] is None


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({"cpu_threads": 3}, "3"),
        ({"cpu_threads": "3"}, None),
        ({"cpu_threads": 10**6}, None),
        ({}, None),
    ],
)
def test_the_threads_are_those_of_the_run_unless_they_are_set(
    environment, threads, started, monkeypatch
):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert started(environment=environment)[1].get("OMP_NUM_THREADS") == threads
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert started(environment=environment)[1]["OMP_NUM_THREADS"] == "7"


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        (2, InputError, "^run=logs/a: its config cannot be used here; see the message above$"),
        (1, TrainingError, "out dir/it's: training ended with exit code 1"),
        (-9, TrainingError, "exit code -9"),
    ],
)
def test_a_failed_command_is_one_line(code, error, message, started):
    with pytest.raises(error, match=message):
        started(code)


def test_overrides_of_resumes_that_change_the_weights():
    lines = ["trainer.max_epochs=4", "+logger=csv", "seed=3"]
    run = SimpleNamespace(overrides=SimpleNamespace(resumed_with=lines))
    assert changes_of_resumes(run) == ["trainer.max_epochs=4", "seed=3"]


def test_a_config_is_checked_for_keys_and_references(tiny_run):
    config = tiny_run.config
    run = SimpleNamespace(config=config, config_file="config.yaml")
    assert checked_config(run) == config
    run.config = {**config, "sede": 3}
    with pytest.raises(InputError, match=r"^config\.yaml: .*sede"):
        checked_config(run)
    run.config = {**config, "tags": ["${oc.env:HOME}"]}
    with pytest.raises(InputError, match=r"^config\.yaml: contains \$\{\.\.\.\}"):
        checked_config(run)

"""Settings of conf/local/default.yaml reach the commands that have them; typed ones are kept."""

import pytest
from omegaconf import OmegaConf

from vgg_lit.config.local_defaults import READS_RUNS, drop_foreign_settings
from vgg_lit.config.schema import COMMANDS


def received(command, config, *typed):
    """Returns the config that a command receives."""
    made = OmegaConf.create(config)
    drop_foreign_settings(made, command, typed)
    return OmegaConf.to_container(made)


def test_settings_of_other_commands_are_left_out():
    config = {"run": "x", "batch_size": 2, "trainer": {"devices": 2}, "logger": None}
    assert received("evaluate", config) == {"run": "x", "batch_size": 2}


@pytest.mark.parametrize("command", ["train", "tune"])
def test_a_training_keeps_settings_of_other_commands_to_refuse_them(command):
    assert received(command, {"top_k": 3}) == {"top_k": 3}


@pytest.mark.parametrize("typed", ["trainer.devices=2", "+trainer.devices=2", "~trainer"])
def test_typed_settings_stay_to_be_refused(typed):
    config = {"run": "x", "trainer": {"devices": 2}}
    assert received("evaluate", config, typed) == config


@pytest.mark.parametrize("command", sorted(READS_RUNS))
def test_the_place_of_data_is_kept_without_its_settings(command):
    config = {"data": {"root": "/data", "batch_size": 64, "val_fraction": 0.1}}
    assert received(command, config) == {"data": {"root": "/data"}}
    kept = received(command, config, "data.batch_size=64")
    assert kept == {"data": {"root": "/data", "batch_size": 64}}


def test_a_data_group_that_is_asked_for_is_kept():
    config = {"data": {"source": {"_target_": "x"}, "batch_size": 64}}
    assert received("evaluate", config) == config


@pytest.mark.parametrize("data", [{"root": "/data"}, None])
def test_a_command_without_data_receives_none(data):
    command = next(
        name
        for name, schema in COMMANDS.items()
        if "data" not in schema.model_fields and name not in READS_RUNS
    )
    assert "data" not in received(command, {"data": data})
    assert "data" not in received(command, {})


def test_the_config_refuses_new_keys_afterwards():
    made = OmegaConf.create({"run": "x"})
    drop_foreign_settings(made, "evaluate", [])
    with pytest.raises(Exception, match="Key 'rnu' is not in struct"):
        made.rnu = 3

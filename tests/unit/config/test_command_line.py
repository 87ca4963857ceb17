"""Flags of Hydra's command line: names, short forms and errors."""

import pytest

from vgg_lit.config.command_line import parse_command_line, value_of_flag


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["-m"], "multirun", True),
        (["--multirun"], "multirun", True),
        (["-cp", "there"], "config_path", "there"),
        (["--config-path=there"], "config_path", "there"),
        (["-cn", "tune"], "config_name", "tune"),
        (["--config-dir", "mine"], "config_dir", "mine"),
        (["-cd", "mine"], "config_dir", "mine"),
        (["--cfg", "job"], "cfg", "job"),
        (["-h"], "help", True),
        (["--info", "plugins"], "info", "plugins"),
        (["--info"], "info", "all"),
    ],
)
def test_flags_have_hydras_names(arguments, name, value):
    parsed = parse_command_line(["seed=1", "model=vgg16", *arguments])
    assert getattr(parsed, name) == value
    assert parsed.overrides == ["seed=1", "model=vgg16"]


def test_flags_that_are_not_given_are_empty():
    parsed = parse_command_line(["seed=1"])
    assert not parsed.multirun
    assert parsed.config_path is None
    assert parsed.config_name is None
    assert parsed.config_dir is None


@pytest.mark.parametrize("arguments", [["--unknown"], ["--config-path"]])
def test_an_unknown_flag_is_left_to_hydra(arguments, capsys):
    with pytest.raises(ValueError, match=r"unrecognized|expected one argument"):
        parse_command_line(arguments)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["--config-dir", "a"], "a"),
        (["seed=1", "-cd", "a", "--unknown"], "a"),
        (["--config-dir=a=b"], "a=b"),
        (["--config-dir"], None),
        (["config-dir=a"], None),
        ([], None),
    ],
)
def test_a_flag_is_read_in_a_wrong_command_line(arguments, value):
    assert value_of_flag(arguments, "config-dir") == value

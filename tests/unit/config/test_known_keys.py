"""Keys and options of a command line."""

import pytest

from vgg_lit.config.known_keys import known_keys, known_options


@pytest.fixture
def folder(tmp_path):
    for group, text in {"model": "_target_: a.b\nmy_width: 3\n", "loss": "_target_: a.c\n"}.items():
        (tmp_path / "my conf" / group).mkdir(parents=True)
        (tmp_path / "my conf" / group / "mine.yaml").write_text(text)
    return str(tmp_path / "my conf")


def test_keys_are_those_of_the_chosen_options(folder):
    assert "model.my_width" not in known_keys("train", [])
    for arguments in (
        ["model=mine", "--config-dir", folder],
        ["model=mine,vgg11", "-m", f"--config-dir={folder}"],
        [f"hydra.searchpath=['{folder}']", "model=mine"],
    ):
        assert "model.my_width" in known_keys("train", arguments)


@pytest.mark.parametrize(
    "arguments",
    [["model=nothing"], ["--config-dir", "nowhere"], ["hydra.searchpath=["], ["-cn", "nothing"]],
)
def test_keys_without_options_that_cannot_be_composed(arguments, recwarn):
    assert known_keys("train", arguments) == known_keys("train", [])
    assert "experiment" in known_keys("train", arguments)
    assert not list(recwarn)


def test_options_of_another_folder_come_last(folder):
    assert known_options("loss", ["-cd", folder]) == [*known_options("loss"), "mine"]

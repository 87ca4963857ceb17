"""Groups and options: defaults and the descriptions in the files."""

import pytest

from vgg_lit.config.group_options import (
    config_folder,
    description,
    description_of_group,
    groups_of,
    options_of,
)

CONF = config_folder()
GROUPS = groups_of("tune", CONF)


def test_groups_and_defaults():
    groups = groups_of("train", CONF)
    assert groups["optimizer"] == "sgd"
    assert groups["callbacks"] == "default"
    assert groups["experiment"] is None
    assert "space" not in groups
    assert GROUPS["space"] == "optimizer"
    assert set(groups) < set(GROUPS)
    assert set(groups_of("summarize", CONF)) == {"model", "data", "augment"}
    assert groups_of("predict", CONF) == {}


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_is_described_in_one_sentence(group):
    options = options_of(group, GROUPS[group], CONF)
    assert GROUPS[group] in (None, options[0].name)
    assert description_of_group(group).endswith(".")
    for option in options:
        assert option.description.endswith("."), option.name
    files = {file.stem for file in (CONF / group).glob("*.yaml")}
    assert {option.name for option in options} == files - ({"base"} if group == "data" else set())


def test_numbers_in_names_sort_by_value():
    names = [option.name for option in options_of("model", None, CONF)]
    assert names.index("vgg11") < names.index("vgg13") < names.index("vgg19")


def test_the_description_is_the_first_comment_for_readers(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("# @package _global_\n# yaml-language-server: $schema=x\n# Text.\n# More.\n")
    assert description(file) == "Text."
    file.write_text("a: 1\n")
    assert description(file) == ""

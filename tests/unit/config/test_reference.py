"""The generated tables of docs/reference.md."""

from vgg_lit.config.group_options import config_folder, groups_of
from vgg_lit.config.reference import reference_blocks
from vgg_lit.config.schema import COMMANDS

CONF = config_folder()
BLOCKS = reference_blocks(CONF)


def test_every_group_and_command_has_a_heading():
    for group in groups_of("tune", CONF):
        assert f"### {group}\n" in BLOCKS["groups"]
    for command in COMMANDS:
        assert f"### {command}\n" in BLOCKS["settings"]


def test_a_setting_is_a_row():
    row = "| `trainer.max_epochs` | integer >= 1 | 18 | Number of epochs. |"
    assert row in BLOCKS["groups"].splitlines()


def test_cells_are_plain_text_in_markdown():
    assert "logs/runs/reproduce/\\<date>" in BLOCKS["settings"]
    for block in BLOCKS.values():
        for line in block.splitlines():
            if line.startswith("|"):
                assert line.replace("\\|", "").count("|") in (3, 4, 5)

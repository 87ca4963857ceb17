"""Commands in documents and help can be pasted into zsh, which expands brackets, stars and braces."""

import re

import pytest

from vgg_lit.config.group_options import config_folder

ROOT = config_folder().parent
FILES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "conf" / "hydra" / "help").glob("*.yaml")),
    *sorted((ROOT / "vgg_lit").glob("*.py")),
]
COMMAND = re.compile(r"^\s*(python -m|pip install|vgg[ -]\w)")
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\s#.*$")


def unquoted(text):
    """The lines of commands with a character that zsh expands outside of quotes."""
    lines = (line for line in text.splitlines() if COMMAND.match(line))
    return [line for line in lines if re.search(r"[\w=.][\[*?{]", QUOTED.sub("", line))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_brackets_are_quoted(file):
    assert unquoted(file.read_text(encoding="utf-8")) == []


def test_an_unquoted_list_is_found():
    assert unquoted("python -m vgg_lit.train callbacks=[a,b]")
    assert not unquoted("python -m vgg_lit.train 'callbacks=[a,b]'  # [1]")

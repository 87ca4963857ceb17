"""The prose check finds each kind of planted fault and passes plain text."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "check_prose.py"


def check(folder: Path, *paths: str) -> tuple[list[str], int]:
    """Returns the printed lines and the exit code."""
    command = [sys.executable, str(SCRIPT), *paths]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines(), done.returncode


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.py", '"""Whether it runs."""\n', '1: docstring opens with "Whether": write "Returns'),
        ("a.py", 'class A:\n    """\n    What it is."""\n', '3: docstring opens with "What"'),
        ("a.py", 'def f():\n    """Of the run."""\n', '2: docstring opens with "Of"'),
        ("a.py", 'async def f():\n    """Whoever calls."""\n', '2: docstring opens with "Whoever"'),
        (
            "a.py",
            '"""A mean.\n\nArgs:\n    x: of the run.\n"""\n',
            '4: docstring has "x: of": describe',
        ),
        ("a.py", '"""A file. What it is for is unknown."""\n', '1: docstring has "What": no state'),
        ("a.py", '"""A run.\n\nIt goes\non."""\n', '3: docstring has "goes on": write "continues"'),
        ("a.py", "x = 1  # nobody reads it\n", '1: comment has "nobody"'),
        ("a.py", "# a folder of its\n# own\n", '1: comment has "of its own"'),
        ("a.py", 'x = "\\nthe loss came to 3"\n', '1: message has "came to"'),
        ("a.py", 'x = f"{1} comes to {2}"\n', '1: message has "comes to"'),
        ("a.yaml", "# ok\nx: '#' # may be had\n", '2: comment has "may be had"'),
        ("a.yaml", "# a folder of its\n# own\nx: 1\n", '1: comment has "of its own"'),
        ("a.toml", "x = 1 # as it were\n", '1: comment has "as it were"'),
        ("a.md", "# A\n\nIt is said.\n", '3: text has "said"'),
        ("a.md", "## It comes to be\n", '1: heading has "comes to"'),
        ("a.md", "First.\n- What it does is\n  little.\n", '2: text has "What"'),
        ("a.md", "First. How it does\nv0.5 is plain.\n", '1: text has "How"'),
    ],
)
def test_a_planted_fault_is_found(tmp_path, name, text, expected):
    write(tmp_path, name, text)

    lines, code = check(tmp_path, name)

    assert lines[0].startswith(f"{name}:{expected}")
    assert lines[1:] == ["1 findings in 1 files"]
    assert code == 1


def test_notebook_cells_are_checked(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["# A\n", "\n", "It is said."]},
        {"cell_type": "code", "source": ["%magic here\n", "x = 'goes on'  # x goes on"]},
        {"cell_type": "raw", "source": ["nobody"]},
    ]
    write(tmp_path, "a.ipynb", json.dumps({"cells": cells}, indent=1))

    lines, _ = check(tmp_path)

    assert len(lines) == 3
    assert 'text has "said"' in lines[0]
    assert 'comment has "goes on"' in lines[1]
    numbers = [int(line.split(":")[1]) for line in lines[:2]]
    raw = (tmp_path / "a.ipynb").read_text().splitlines()
    assert "It is said." in raw[numbers[0] - 1]
    assert "x goes on" in raw[numbers[1] - 1]


def test_plain_text_passes(tmp_path):
    write(
        tmp_path,
        "a.py",
        '"""Loads networks.\n\n    python a.py\n\nHow is it used? As `goes on`.\n"""\n'
        'x = {"goes on": 1}  # the key of the state dict\n'
        'def f(x):\n    """Returns True if x is positive.\n\n    Args:\n        x: a number.\n    """\n',
    )
    write(tmp_path, "a.yaml", 'x: "# nobody" # the seed\n')
    write(
        tmp_path,
        "a.md",
        "# What is it\n\nWhat is it?\n\n| What | How |\n\n`goes on` [a](said.md)\n\n"
        "```bash\necho nobody said it\n```\n\nHow do I train in v0.5? See there.\n",
    )

    assert check(tmp_path) == (["0 findings in 0 files"], 0)


def test_exempt_files_are_skipped(tmp_path):
    names = ("scripts/check_prose.py", "tests/unit/scripts/test_check_prose.py")
    for name in (*names, "tests/golden/a.py", "LICENSE", "a/LICENSE"):
        write(tmp_path, name, '"""What nobody said."""\n')

    assert check(tmp_path) == (["0 findings in 0 files"], 0)


def test_folders_are_searched_without_untracked_files(tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for name in ("a/b.md", "a/untracked.md", "c.md"):
        write(tmp_path, name, "It is said.\n")
    subprocess.run(["git", "-C", str(tmp_path), "add", "a/b.md", "c.md"], check=True)

    assert check(tmp_path, "a")[0][:-1] == [check(tmp_path)[0][0]]
    assert check(tmp_path)[0][-1] == "2 findings in 2 files"

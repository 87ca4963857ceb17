"""Overrides from Python values, and commands that a shell reads as they are printed."""

import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from operating_systems import posix

from vgg_lit.system.overrides import as_overrides, key_of, listed_formats, pasteable, with_home

PATH = "my runs/it's [1]=a, $HOME"


@posix
def test_a_pasted_command_has_the_same_values():
    command = pasteable("evaluate", {"run": PATH, "trusted_targets": ["a", "b"]})
    echoed = subprocess.run(
        ["sh", "-c", command.replace("python", "printf '%s\\n'", 1)], capture_output=True, text=True
    ).stdout.splitlines()
    assert echoed == shlex.split(command)[1:]
    run, trusted = OverridesParser.create().parse_overrides(echoed[2:])
    assert run.value() == PATH
    assert trusted.value() == ["a", "b"]


def test_an_object_with_a_path_is_that_path():
    class Folder:
        def __fspath__(self):
            return "logs/runs/a"

    assert as_overrides({"run": Folder(), "runs": [Folder(), Path("b")]}) == [
        "run=logs/runs/a",
        "runs=[logs/runs/a,b]",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " a ",
        "a\\",
        "a\\\\",
        '"',
        '\\"',
        'a\\\\"b',
        "a\\b",
        "a\\1e3",
        "C:\\Users\\ada\\x",
        "\\\\nas\\photos",
        "'",
        "null",
        "1e3",
        "a\n",
        "a\\\n",
        "é",
        "/home/josé/x",
        "modèle",
        "图",
        "x=[{(,",
    ],
)
def test_hydra_reads_the_same_text(text):
    for quote in "\"'":
        (typed,) = as_overrides({"run": text}, quote)
        (override,) = OverridesParser.create().parse_overrides([typed])
        assert override.value() == text
        assert isinstance(override.value(), str)


@pytest.mark.parametrize(
    ("value", "typed"),
    [
        (np.int64(3), "3"),
        (np.float64(0.001), "0.001"),
        (np.float32(0.5), "0.5"),
        (np.bool_(True), "true"),
        (torch.tensor(0.25), "0.25"),
        ([np.int64(1), np.int64(2)], "[1,2]"),
        (np.array([0.1, 0.2]), "[0.1,0.2]"),
    ],
)
def test_numbers_of_numpy_and_torch_stay_numbers(value, typed):
    assert as_overrides({"seed": value}) == [f"seed={typed}"]


def test_plain_values_are_not_quoted():
    shown = pasteable("predict", {"run": "logs/runs/a/2026-01-31_12-00-00_1f3a", "images": "a.png"})
    assert shown == (
        "python -m vgg_lit.predict run=logs/runs/a/2026-01-31_12-00-00_1f3a images=a.png"
    )


@pytest.mark.parametrize(
    ("text", "is_quoted"),
    [("/data/a-1", False), ("./a", False), ("../a", False), (".5", True), ("/1", True)],
)
def test_paths_are_plain_and_stay_texts(text, is_quoted):
    (typed,) = as_overrides({"run": text})
    assert (typed != f"run={text}") == is_quoted
    (override,) = OverridesParser.create().parse_overrides([typed])
    assert override.value() == text


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("logs\\runs\\2026-01-31_1f", '"run=logs\\runs\\2026-01-31_1f"'),
        ("C:\\Users\\ada\\x.y", '"run=C:\\Users\\ada\\x.y"'),
        ("..\\a", '"run=..\\a"'),
        ("C:\\Users\\Jane Doe\\x", "\"run='C:\\Users\\Jane Doe\\x'\""),
        ("\\\\nas\\x", "\"run='\\\\nas\\x'\""),
        ("it's", "\"run='it\\'s'\""),
    ],
)
def test_powershell_reads_a_path_of_windows(text, word, monkeypatch):
    """PowerShell ends a word at `\\"`, so a printed word has double quotes only around it."""
    monkeypatch.setattr(sys, "platform", "win32")
    assert pasteable("evaluate", {"run": text}) == f"python -m vgg_lit.evaluate {word}"
    (override,) = OverridesParser.create().parse_overrides([word.strip('"')])
    assert override.value() == text


def test_a_long_text_is_judged_at_once():
    text = "a" * 50_000 + "!"
    assert as_overrides({"name": text}) == [f'name="{text}"']


def test_several_formats_are_a_list():
    assert listed_formats(["formats=png,pdf", "run=a,b"]) == ["formats=[png,pdf]", "run=a,b"]
    assert listed_formats(["formats=png", "formats=[a,b]"]) == ["formats=png", "formats=[a,b]"]


@posix
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("run=~/a", "run=/home/me/a"),
        ("run=~", "run=/home/me"),
        ("run=~/a b", 'run="/home/me/a b"'),
        ("output='~/x'", "output=/home/me/x"),
        ('run="~/a (1)"', 'run="/home/me/a (1)"'),
        ("runs=[~/a, ~/b,c]", "runs=[/home/me/a,/home/me/b,c]"),
        ('run=["~/a","~/b c", ~/d]', 'run=[/home/me/a,"/home/me/b c",/home/me/d]'),
        ("run=['~/a (1)',~/b]", 'run=["/home/me/a (1)",/home/me/b]'),
        ("run=['~/a,b',c]", 'run=["/home/me/a,b",c]'),
        ("init.from=~/a,~/b", "init.from=/home/me/a,/home/me/b"),
        ("images=~/p/img[0-9].jpg", 'images="/home/me/p/img[0-9].jpg"'),
        *(
            (same, same)
            for same in ("~optimizer.lr", "name=a~/b", "-m", "name='x,~'", "tags=['x,~','a']")
        ),
        *((same, same) for same in ("init.from=choice(x,~/b)", "--config-dir=~/conf", "a={b:~/x}")),
    ],
)
def test_the_home_folder_is_replaced_in_values(typed, expected, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert with_home([typed]) == [expected]
    assert with_home([expected]) == [expected]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (r"data.root=\\nas\photos", [r"\\nas\photos"]),
        (r"run=C:\Users\RUNNER~1\x", [r"C:\Users\RUNNER~1\x"]),
        (r"run=PROGRA~1", ["PROGRA~1"]),
        (r"runs=[logs\a, \\nas\b,C:\RUNNER~1\c]", [["logs\\a", r"\\nas\b", r"C:\RUNNER~1\c"]]),
        (r"init.from=a,\\nas\b", ["a", r"\\nas\b"]),
        (r"images=\\nas\p\img[0-9].jpg", [r"\\nas\p\img[0-9].jpg"]),
        (r"output='\\nas\x'", [r"\\nas\x"]),
        (r"run=C:\Users\ada\x", [r"C:\Users\ada\x"]),
    ],
)
def test_hydra_reads_paths_of_windows(typed, expected, monkeypatch):
    """Hydra reads two backslashes as one, and refuses `~`."""
    monkeypatch.setattr(sys, "platform", "win32")
    (again,) = with_home([typed])
    assert with_home([again]) == [again]
    (override,) = OverridesParser.create().parse_overrides([again])
    if override.is_sweep_override():
        assert [getattr(path, "text", path) for path in override.value().list] == expected
    else:
        assert [override.value()] == expected


@pytest.mark.parametrize("typed", ["run=choice(a,C:\\RUNNER~1)", "~optimizer.lr", "name=a~/b"])
def test_other_values_stay_as_they_are_on_windows(typed, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert with_home([typed]) == [typed]


@pytest.mark.parametrize("home", ["/home/josé", "/Users/Jane Doe", "/home/o'brien"])
def test_hydra_reads_a_path_in_any_home_folder(home, set_home):
    set_home(home)
    for typed in ("run=~/a", "run='~/a'", "run=[~/a]"):
        (override,) = OverridesParser.create().parse_overrides(with_home([typed]))
        assert override.value() in (str(Path(home, "a")), [str(Path(home, "a"))])


@pytest.mark.parametrize("typed", ["a.b=1", "+a.b=1", "++a.b=x=y", "~a.b", "a.b="])
def test_the_key_of_an_override_has_no_prefix(typed):
    assert key_of(typed) == "a.b"

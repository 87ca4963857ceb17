"""Overrides from Python values, and commands that a shell reads as they are printed."""

import shlex
import subprocess

import numpy as np
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser

from vgg_lit.system.overrides import as_overrides, key_of, listed_formats, pasteable, with_home

PATH = "my runs/it's [1]=a, $HOME"


def test_a_pasted_command_has_the_same_values():
    command = pasteable("evaluate", {"run": PATH, "trusted_targets": ["a", "b"]})
    echoed = subprocess.run(
        ["sh", "-c", command.replace("python", "printf '%s\\n'", 1)], capture_output=True, text=True
    ).stdout.splitlines()
    assert echoed == shlex.split(command)[1:]
    run, trusted = OverridesParser.create().parse_overrides(echoed[2:])
    assert run.value() == PATH
    assert trusted.value() == ["a", "b"]


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
    (override,) = OverridesParser.create().parse_overrides(as_overrides({"run": text}))
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
    word = pasteable("evaluate", {"run": text}).partition("run=")[2]
    assert (word != text) == is_quoted
    (override,) = OverridesParser.create().parse_overrides([f"run={word.rstrip(chr(39))}"])
    assert override.value() == text


def test_several_formats_are_a_list():
    assert listed_formats(["formats=png,pdf", "run=a,b"]) == ["formats=[png,pdf]", "run=a,b"]
    assert listed_formats(["formats=png", "formats=[a,b]"]) == ["formats=png", "formats=[a,b]"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("run=~/a", "run=/home/me/a"),
        ("run=~", "run=/home/me"),
        ("run=~/a b", 'run="/home/me/a b"'),
        ("output='~/x'", "output=/home/me/x"),
        ('run="~/a (1)"', 'run="/home/me/a (1)"'),
        ("runs=[~/a, ~/b,c]", "runs=[/home/me/a,/home/me/b,c]"),
        ("init.from=~/a,~/b", "init.from=/home/me/a,/home/me/b"),
        ("images=~/p/img[0-9].jpg", 'images="/home/me/p/img[0-9].jpg"'),
        *(
            (same, same)
            for same in ("~optimizer.lr", "name=a~/b", "-m", "name='x,~'", "tags=['~/a']")
        ),
        *((same, same) for same in ("init.from=choice(x,~/b)", "--config-dir=~/conf", "a={b:~/x}")),
    ],
)
def test_the_home_folder_is_replaced_in_values(typed, expected, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert with_home([typed]) == [expected]
    assert with_home([expected]) == [expected]


@pytest.mark.parametrize("home", ["/home/josé", "/Users/Jane Doe", "/home/o'brien"])
def test_hydra_reads_a_path_in_any_home_folder(home, monkeypatch):
    monkeypatch.setenv("HOME", home)
    for typed in ("run=~/a", "run='~/a'", "run=[~/a]"):
        (override,) = OverridesParser.create().parse_overrides(with_home([typed]))
        assert override.value() in (f"{home}/a", [f"{home}/a"])


@pytest.mark.parametrize("typed", ["a.b=1", "+a.b=1", "++a.b=x=y", "~a.b", "a.b="])
def test_the_key_of_an_override_has_no_prefix(typed):
    assert key_of(typed) == "a.b"

"""Texts that Hydra reads only in quotes."""

import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from vgg_lit.config.plain_texts import is_read, with_quotes


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("data.root=宠物", "宠物"),
        ("images=café.png", "café.png"),
        ("name=größe", "größe"),
        ("+name=größe", "größe"),
        ("images=shoe (1).png", "shoe (1).png"),
        ("images=shoe(1).png", "shoe(1).png"),
        ("images=my photos (2)", "my photos (2)"),
        ("images=a=b.png", "a=b.png"),
        ("images=a#b&c.png", "a#b&c.png"),
        ("data.root=C:\\Users\\josé\\x", "C:\\Users\\josé\\x"),
        ("tags=[é]", ["é"]),
        ("tags=[é, b,3]", ["é", "b", 3]),
        ("images=[shoe (1).png,b.png]", ["shoe (1).png", "b.png"]),
    ],
)
@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_hydra_reads_the_text_that_was_typed(typed, value, platform, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    (again,) = with_quotes([typed])
    assert with_quotes([again]) == [again]
    (override,) = OverridesParser.create().parse_overrides([again])
    assert override.value() == value


def test_each_value_of_a_sweep_has_its_own_quotes():
    assert with_quotes(["name=größe,b,straße"]) == ['name="größe",b,"straße"']
    assert with_quotes(["name=größe, 3"]) == ['name="größe",3']


@pytest.mark.parametrize(
    "typed",
    [
        *("-m", "--config-dir=größe", "größe", "größe=1", "=é", "a b=é", "~model=é", "name="),
        *("name=a b", "seed=1,2", "seed=range(3)", "tags=[a,b]", "name='größe'", "a={b:1}"),
        *("seed=rnage(3)", "seed=range(0,é", "name=choice(größe,b)", "seed={é:1", "model=[é"),
        *("name=a b=c", "name=é seed=1", "name=é\nseed=1", "seed=${é", "name=é\x00", "name=é,"),
        *("name=it's é", "images=é[0-9].png", "name=caf\udce9"),
    ],
)
def test_other_arguments_stay_as_they_are(typed):
    assert with_quotes([typed]) == [typed]


@given(st.text(max_size=8))
def test_no_value_that_hydra_reads_is_changed(text):
    typed = f"name={text}"
    (again,) = with_quotes([typed])
    assert again == typed or (is_read(again) and not is_read(typed))
    assert with_quotes([again]) == [again]

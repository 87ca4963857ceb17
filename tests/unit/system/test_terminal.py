"""Text from files is shown on one line, without control characters."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgg_lit.system.terminal import ESCAPED, JOINERS, first_names, visible, warn

HOSTILE = "a\x1b[2Jb\x07\r\n\x9b\u202ec\udc80"
SHOWN = r"a\x1b[2Jb\x07\r\n\x9b\u202ec\x80"


@settings(deadline=None)
@given(st.text(st.characters(codec=None)))
def test_any_text_is_one_line_that_can_be_printed(text):
    shown = visible(text)
    assert len(shown.splitlines()) <= 1
    assert {c for c in shown if unicodedata.category(c) in ESCAPED} <= set(JOINERS)
    assert visible(shown) == shown
    shown.encode("utf-8")


def test_control_characters_are_shown_as_escapes():
    assert visible(HOSTILE) == SHOWN
    assert visible(SHOWN) == SHOWN
    assert visible("\ud800") == r"\ud800"
    plain = "Köln [bold] \u65e5\u672c \U0001f469\u200d\U0001f52c C:\\x"
    assert visible(plain) == plain


def test_the_first_names_are_listed_and_the_others_counted():
    names = [HOSTILE, *map(str, range(2000))]
    assert first_names(names, 2) == rf"{SHOWN}, 0 and 1,999 more"
    assert first_names(names[1:3], 2) == "0, 1"
    assert first_names([], 2) == ""


def test_a_warning_is_one_line_on_standard_error(capsys):
    warn(HOSTILE)
    assert capsys.readouterr() == ("", f"warning: {SHOWN}\n")


@pytest.mark.parametrize("text", ["", " ", "a b", "\u00a0", "\ue000"])
def test_spaces_and_private_characters_stay(text):
    assert visible(text) == text

import sys

import pytest

from vgg_lit.system.progress_bars import progress_bar


@pytest.mark.parametrize("is_wanted", [True, False])
def test_without_a_terminal_nothing_is_printed(is_wanted, capsys):
    with progress_bar(is_wanted=is_wanted) as bar:
        task = bar.add_task("reading", total=2)
        bar.advance(task)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_the_bar(capsys, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress_bar() as bar:
        bar.advance(bar.add_task("reading", total=2))
    out, err = capsys.readouterr()
    assert "reading" in err
    assert not out

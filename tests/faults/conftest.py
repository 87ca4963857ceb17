"""What each test here shows: one line on standard error, exit code 2, nothing executed, little memory."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from memory import GROWTH, forget_peak, peak


@pytest.fixture
def mark(tmp_path) -> Iterator[Path]:
    """A file that hostile content would write if it were run."""
    yield tmp_path / "executed"
    assert not (tmp_path / "executed").exists()


@pytest.fixture
def refused(verb, tmp_path, monkeypatch) -> Callable[..., str]:
    """`refused("train", "seed=x")`: the one line of a command that is refused, without `error: `."""
    monkeypatch.chdir(tmp_path)

    def refused(name: str, *arguments: str) -> str:
        forget_peak()
        before = peak()
        done = verb(name, *arguments)
        grown = peak() - before
        assert done.code == 2, done
        assert done.err.startswith("error: "), done.err
        assert done.err.count("\n") == 1, done.err
        assert len(done.err) < 2000
        assert grown < GROWTH, f"{grown / 2**20:.0f} MiB"
        return done.err.removeprefix("error: ")

    return refused

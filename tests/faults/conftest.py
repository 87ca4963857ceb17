"""What each test here shows: one line on standard error, exit code 2, nothing executed, little memory."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MEMORY = 2**30
"""Bytes that a whole process may take."""
GROWTH = 2**29
"""Bytes that one command may take on top of what the process of the tests has."""


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


def forget_peak() -> None:
    """Begins the process's peak of memory anew, where the system can (Linux)."""
    if os.path.exists("/proc/self/clear_refs"):
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """The most memory this process has had since, bytes; 0 where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

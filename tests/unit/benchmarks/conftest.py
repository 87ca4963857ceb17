"""Makes the benchmark scripts importable from their folder."""

import sys
from pathlib import Path

import pytest

from vgg_lit import targets

sys.path.append(str(Path(__file__).resolve().parents[3] / "benchmarks"))


@pytest.fixture(autouse=True)
def no_trust(monkeypatch):
    """Resets the trusted targets for each test."""
    monkeypatch.setattr(targets, "_trusted", set())

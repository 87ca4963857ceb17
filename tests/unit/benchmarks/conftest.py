"""The benchmarks are scripts: they import each other from their own folder."""

import sys
from pathlib import Path

import pytest

from vgg_lit import targets

sys.path.append(str(Path(__file__).resolve().parents[3] / "benchmarks"))


@pytest.fixture(autouse=True)
def no_trust(monkeypatch):
    """What a benchmark trusts, the next test does not."""
    monkeypatch.setattr(targets, "_trusted", set())

"""Fixtures of the tests of data sets."""

import pytest

from vgg_lit.data import downloads


@pytest.fixture
def local_downloads(monkeypatch):
    """Allows downloads from a local server, without pauses between attempts and without a proxy."""
    monkeypatch.setattr(downloads, "SCHEMES", ("http://127.0.0.1",))
    monkeypatch.setattr(downloads, "PAUSES", (0.0,) * 4)
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)

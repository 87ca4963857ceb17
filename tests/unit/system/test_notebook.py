"""Plot backends of notebooks in processes where they are not installed."""

import os

import pytest

from vgg_lit.system.notebook import is_notebook, replace_missing_plot_backend


@pytest.mark.parametrize(
    ("name", "used"),
    [
        ("module://absent_package.backend", "agg"),
        ("ipympl", "agg"),
        ("module://json.decoder", "module://json.decoder"),
        ("svg", "svg"),
    ],
)
def test_only_a_missing_backend_is_replaced(name, used, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", name)
    replace_missing_plot_backend()
    assert os.environ["MPLBACKEND"] == used


def test_a_program_is_no_notebook():
    assert not is_notebook()

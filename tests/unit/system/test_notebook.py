"""Plot backends of notebooks in processes where they are not installed."""

import os

import pytest

from vgg_lit.system import notebook
from vgg_lit.system.notebook import (
    give_settings_folder,
    is_notebook,
    replace_missing_plot_backend,
)


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


def test_matplotlib_has_a_folder_for_its_settings_without_a_home_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    give_settings_folder()
    assert "MPLCONFIGDIR" not in os.environ
    removed = []
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(notebook.tempfile, "mkdtemp", lambda prefix: str(tmp_path))
    monkeypatch.setattr(notebook.atexit, "register", lambda *call, **_: removed.append(call[1]))
    give_settings_folder()
    give_settings_folder()
    assert os.environ["MPLCONFIGDIR"] == str(tmp_path)
    assert removed == [str(tmp_path)]


def test_a_program_is_no_notebook():
    assert not is_notebook()

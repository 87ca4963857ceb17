"""The version has the form of Python packages, and is that of the installed package."""

import sys
from importlib.metadata import version

import pytest
from packaging.version import Version

import vgg_lit
from vgg_lit.config.command import run_verb
from vgg_lit.version import __version__, versions


def test_the_version_is_in_the_form_of_packages():
    assert str(Version(__version__)) == __version__
    assert vgg_lit.__version__ == __version__


@pytest.mark.parametrize("verb", ["train", "predict"])
def test_each_command_prints_the_versions(verb, monkeypatch, capsys):
    """Hydra would print its own."""
    monkeypatch.setattr(sys, "argv", [verb, "seed=1", "--version"])
    run_verb(print, verb)
    assert capsys.readouterr().out == versions() + "\n"
    assert versions().startswith(f"vgg_lit {__version__}\ntorch ")


def test_the_installed_package_has_the_version():
    try:
        installed = version("vgg_lit")
    except ModuleNotFoundError:
        pytest.skip("the package is imported from the checkout and not installed")
    assert installed == __version__

"""The version has the form of Python packages, and is that of the installed package."""

from importlib.metadata import version

import pytest
from packaging.version import Version

import vgg_lit
from vgg_lit.version import __version__


def test_the_version_is_in_the_form_of_packages():
    assert str(Version(__version__)) == __version__
    assert vgg_lit.__version__ == __version__


def test_the_installed_package_has_the_version():
    try:
        installed = version("vgg_lit")
    except ModuleNotFoundError:
        pytest.skip("the package is imported from the checkout and not installed")
    assert installed == __version__

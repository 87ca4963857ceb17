"""A package that is not installed is one line that says how to install it."""

import pytest

from vgg_lit.errors import InputError
from vgg_lit.extras import require


def test_installed_packages_raise_nothing():
    require("export", "json", "torch", asked="formats=[onnx]")  # must not raise


def test_what_is_missing_is_named_with_the_extra_that_brings_it():
    with pytest.raises(InputError) as refused:
        require("export", "json", "no_such_package", "nor_this", asked="formats=[onnx]")
    assert str(refused.value) == (
        "formats=[onnx]: needs no_such_package, nor_this: pip install 'vgg_lit[export]'"
    )

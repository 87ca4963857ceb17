"""A missing optional package is reported in one line with the install command."""

import pytest

from vgg_lit.errors import InputError
from vgg_lit.system.extras import require


def test_installed_packages_raise_nothing():
    require("export", "json", "torch", asked="formats=[onnx]")  # must not raise


def test_missing_modules_are_named_with_their_extra():
    with pytest.raises(InputError) as refused:
        require("export", "json", "no_such_package", "nor_this", asked="formats=[onnx]")
    assert str(refused.value) == (
        'formats=[onnx]: needs no_such_package, nor_this: pip install "vgg_lit[export]"'
    )

"""Modules of commands that can also be called as functions."""

import importlib
import sys
from types import ModuleType

import pytest

import vgg_lit.interactive
from vgg_lit.callable_commands import FUNCTIONS, CallableModule


@pytest.mark.parametrize(("name", "function"), FUNCTIONS.items())
def test_the_module_of_a_command_calls_its_function(name, function, monkeypatch):
    called = []

    def call(*arguments, **settings):
        called.append((arguments, settings))
        return "result"

    monkeypatch.setattr(vgg_lit.interactive, function, call)
    module = importlib.import_module(name)
    assert isinstance(module, CallableModule)
    assert callable(module.main)
    assert module("model=vgg16", seed=1) == "result"
    assert called == [(("model=vgg16",), {"seed": 1})]


def test_the_package_has_the_modules_as_functions():
    for name in FUNCTIONS:
        importlib.import_module(name)
        assert getattr(vgg_lit, name.rpartition(".")[2]) is sys.modules[name]


def test_other_modules_cannot_be_called():
    assert not callable(ModuleType("vgg_lit.evaluate"))
    assert not callable(importlib.import_module("vgg_lit.evaluate"))
    with pytest.raises(KeyError):
        CallableModule("vgg_lit.evaluate")()

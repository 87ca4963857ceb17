"""Modules of commands that are also functions in Python: vgg_lit.train(...), vgg_lit.compare(...)."""

from importlib import import_module
from types import ModuleType
from typing import Any

FUNCTIONS = {"vgg_lit.train": "train_run", "vgg_lit.compare": "compare_runs"}
"""Functions of `vgg_lit.interactive` by module. They are imported when called: they need torch."""


class CallableModule(ModuleType):
    """The module of a command, which can also be called."""

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        """Calls the function of `vgg_lit.interactive` that does the same as the command."""
        function = getattr(import_module("vgg_lit.interactive"), FUNCTIONS[self.__name__])
        return function(*arguments, **settings)

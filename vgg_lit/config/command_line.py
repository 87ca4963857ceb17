"""The flags of Hydra's command line.

parsed = parse_command_line(["-m", "seed=0,1"])
parsed.multirun, parsed.overrides            # True, ["seed=0,1"]
value_of_flag(["-cd", "conf"], "config-dir")  # conf

Hydra has no public function for them.
"""

import argparse
from collections.abc import Sequence
from itertools import zip_longest
from typing import NoReturn

SWITCHES = ("help", "hydra-help", "version", "resolve", "run", "multirun", "shell-completion")
VALUES = ("cfg", "package", "config-path", "config-name", "config-dir", "experimental-rerun")
SHORT = {
    **{"help": "h", "run": "r", "multirun": "m", "shell-completion": "sc", "cfg": "c"},
    **{"package": "p", "config-path": "cp", "config-name": "cn", "config-dir": "cd", "info": "i"},
}


def parse_command_line(arguments: Sequence[str]) -> argparse.Namespace:
    """Returns flags and overrides of a command line, under the names that Hydra gives them.

    Raises:
        ValueError: a flag is unknown or has no value; Hydra reports it.
    """
    parser = _Parser(add_help=False)
    parser.add_argument("overrides", nargs="*")
    for name in SWITCHES:
        parser.add_argument(*_spellings(name), action="store_true")
    for name in VALUES:
        parser.add_argument(*_spellings(name))
    parser.add_argument(*_spellings("info"), nargs="?", const="all")
    return parser.parse_args(list(arguments))


def value_of_flag(arguments: Sequence[str], name: str) -> str | None:
    """Returns the value of a flag of a command line that may be incomplete or wrong; None if it has none."""
    for argument, following in zip_longest(arguments, arguments[1:]):
        if argument in _spellings(name):
            return following
        if argument.startswith(f"--{name}="):
            return argument.partition("=")[2]
    return None


class _Parser(argparse.ArgumentParser):
    """A parser that does not end the program."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def _spellings(name: str) -> list[str]:
    return [f"--{name}", *([f"-{SHORT[name]}"] if name in SHORT else [])]

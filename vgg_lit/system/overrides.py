"""Values as overrides of Hydra, and commands that can be pasted into a shell.

as_overrides({"seed": 1, "name": "a b"})             # ['seed=1', 'name="a b"']
shell_words({"run": "my runs/1"})                    # 'run="my runs/1"'
pasteable("evaluate", {"run": "my runs/1"})          # python -m vgg_lit.evaluate 'run="my runs/1"'
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vgg_lit.system.files import expanded
from vgg_lit.system.operating_system import inner_quote, is_misread, quoted

PLAIN = re.compile(
    r"(?:[A-Za-z]:[\\/]|\.{0,2}[\\/])?[A-Za-z_][\w./-]*(?:\\[\w.-][\w./-]*)*", re.ASCII
)
"""Texts that Hydra reads without quotes, except for `WORDS`; letters outside ASCII need quotes."""

WORDS = ("null", "true", "false", "nan", "inf")
"""Texts that Hydra reads as other values."""


def as_overrides(settings: Mapping[str, Any], quote: str = '"') -> list[str]:
    """Returns Python values by key as overrides of Hydra, with texts in double or single quotes."""
    return [f"{key}={_typed(value, quote)}" for key, value in settings.items()]


def _typed(value: Any, quote: str = '"') -> str:
    """Returns a value in Hydra's grammar, so that texts stay texts."""
    if hasattr(value, "tolist"):  # a number or an array of numpy or torch
        value = value.tolist()
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_typed(item, quote)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(_typed(item, quote) for item in value)}]"
    text = os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    if PLAIN.fullmatch(text) and text.lower() not in WORDS:
        return text
    # As in Hydra's grammar, backslashes are escapes only before a quote.
    return quote + re.sub(rf"(\\*)({quote}|\Z)", _escaped, text) + quote


def _escaped(match: re.Match[str]) -> str:
    backslashes, quote = match.groups()
    return backslashes * 2 + (f"\\{quote}" if quote else "")


def key_of(override: str) -> str:
    """Returns the key of an override, without `+`, `++` and `~`."""
    return override.partition("=")[0].lstrip("+~")


def listed_formats(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments with `formats=a,b`, which Hydra reads as a sweep, as `formats=[a,b]`."""
    return [re.sub(r"^formats=(\w+(?:,\w+)+)$", r"formats=[\1]", typed) for typed in arguments]


HOME = re.compile(r"~(?:[/\\].*)?")
"""A path in the home folder."""

QUOTED = re.compile(r"""(['"])(.*)\1""")
IN_QUOTES = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
LIST = re.compile(rf"""\[((?:{IN_QUOTES}|[^][(){{}}'"])*)\]""")
ELEMENT = re.compile(rf"""{IN_QUOTES}|[^'",]+""")


def with_home(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments with `~` in values replaced by the home folder; zsh does not replace it after `=`.

    Paths of Windows that Hydra reads as other texts get quotes. A value is a path, a list of paths, or the
    paths of a sweep; functions such as `choice(...)` stay.

    Raises:
        InputError: the user has no home folder.
    """
    return [_with_home(typed) for typed in arguments]


def _with_home(typed: str) -> str:
    key, _, value = typed.partition("=")
    if typed.startswith("-") or not ("~" in value or "\\\\" in value):
        return typed
    if quoted := QUOTED.fullmatch(value):
        return f"{key}={_at_home(quoted[2])}" if HOME.fullmatch(quoted[2]) else typed
    if listed := LIST.fullmatch(value):
        return f"{key}=[{ELEMENT.sub(lambda element: _at_home(element[0]), listed[1])}]"
    is_sweep = not re.search(r"""[][(){}'"]""", value)
    return f"{key}={','.join(map(_at_home, value.split(',') if is_sweep else [value]))}"


def _at_home(text: str) -> str:
    path = text.strip()
    unquoted = in_quotes[2] if (in_quotes := QUOTED.fullmatch(path)) else path
    if HOME.fullmatch(unquoted):
        return _typed(str(expanded(unquoted)))
    return _typed(path) if is_misread(path) else text


def shell_words(settings: Mapping[str, Any]) -> str:
    """Returns settings as words of a command line, quoted for Hydra and for the shells of this system."""
    return quoted(as_overrides(settings, inner_quote()))


def pasteable(command: str, settings: Mapping[str, Any]) -> str:
    """Returns a command with its settings, quoted as by `shell_words`."""
    return f"python -m vgg_lit.{command} {shell_words(settings)}"

"""Plain texts on the command line that Hydra's grammar does not read without quotes.

with_quotes(["name=größe", "images=shoe (1).png", "tags=[é,b]"])
# ['name="größe"', 'images="shoe (1).png"', 'tags=["é",b]']
"""

import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from vgg_lit.system.operating_system import inner_quote
from vgg_lit.system.overrides import as_overrides

OVERRIDE = re.compile(r"(\+{0,2}[A-Za-z_][\w./@-]*)=(.+)", re.ASCII | re.DOTALL)
ALWAYS_READ = re.compile(r"[\w./,:+-]*", re.ASCII)
IS_STRUCTURED = re.compile(r"""['"{}\[\]]|\$\{""")
"""Quotes, lists, mappings and interpolations: the user has already written Hydra's grammar."""

LIST = re.compile(r"\[(.*)\]")
FUNCTION = re.compile(r"\w+\(.*\)")
SECOND_OVERRIDE = re.compile(r"\s[\w.+~/]+=")


def with_quotes(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments with quotes around the texts that Hydra refuses without them.

    Such texts have letters outside ASCII, parentheses, `=` or other signs. Elements of a list and the values
    of a sweep get their own quotes. Values that Hydra reads stay, and so do values with quotes or brackets,
    functions and two overrides in one argument.
    """
    return [_with_quotes(typed) for typed in arguments]


def _with_quotes(typed: str) -> str:
    match = OVERRIDE.fullmatch(typed)
    if not match or ALWAYS_READ.fullmatch(match[2]) or not typed.isprintable() or is_read(typed):
        return typed
    key, value = match.groups()
    listed = LIST.fullmatch(value)
    texts = [text.strip() for text in (listed[1] if listed else value).split(",")]
    if not all(map(_is_plain, texts)):
        return typed
    quoted = ",".join(text if is_read(f"x={text}") else quoted_text(text) for text in texts)
    return f"{key}=[{quoted}]" if listed else f"{key}={quoted}"


def is_read(override: str) -> bool:
    """Returns True if an override follows Hydra's grammar."""
    try:
        OverridesParser.create().parse_overrides([override])
    except HydraException:
        return False
    return True


def quoted_text(text: str) -> str:
    """Returns a text in quotes of Hydra."""
    (override,) = as_overrides({"x": text}, inner_quote())
    return override.removeprefix("x=")


def _is_plain(text: str) -> bool:
    is_structured = IS_STRUCTURED.search(text) or FUNCTION.fullmatch(text)
    is_balanced = text.count("(") == text.count(")")
    return bool(text) and is_balanced and not is_structured and not SECOND_OVERRIDE.search(text)

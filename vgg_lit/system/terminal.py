"""Text for a terminal: names from files and paths cannot move its cursor or change its title."""

import sys
import unicodedata
from collections.abc import Sequence

ESCAPED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that are shown escaped: control and format characters, lone surrogates, line ends."""

JOINERS = "\u200c\u200d"
"""Format characters that belong to words of some scripts, and to emoji."""


def visible(text: str) -> str:
    r"""Returns text on one line, with control characters as escapes such as `\x1b`.

    Bytes that are not UTF-8, as in a file name in Latin-1, are shown as `\xe9`. The result can be written
    in UTF-8, and is returned unchanged by this function.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if unicodedata.category(character) not in ESCAPED or character in JOINERS:
        return character
    if "\udc80" <= character <= "\udcff":  # how Python represents a byte that is not UTF-8
        character = chr(ord(character) - 0xDC00)
    return character.encode("unicode_escape").decode("ascii")


def first_names(names: Sequence[str], most: int) -> str:
    """Returns the first names of a list, and the number of the others: `a, b and 3 more`."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(visible, names[:most])) + more


def warn(text: str) -> None:
    """Prints a warning on standard error."""
    print(f"warning: {visible(text)}", file=sys.stderr, flush=True)

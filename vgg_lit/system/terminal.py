"""Text for a terminal: names from files and paths cannot move its cursor or change its title."""

import sys
import unicodedata

ESCAPED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that are shown escaped: control and format characters, lone surrogates, line ends."""

JOINERS = "\u200c\u200d"
"""Format characters that belong to words of some scripts, and to emoji."""


def visible(text: str) -> str:
    r"""Returns text on one line, with control characters as escapes such as `\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in ESCAPED and character not in JOINERS
        else character
        for character in text
    )


def warn(text: str) -> None:
    """Prints a warning on standard error."""
    print(f"warning: {visible(text)}", file=sys.stderr, flush=True)

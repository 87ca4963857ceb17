r"""Names as data in Markdown: what they contain is shown, and never read as markup.

markdown_text("a|b <b> $x$")    # a\|b \<b\> \$x\$
markdown_code("best`.ckpt")     # ``best`.ckpt``
"""

import re

from vgg_lit.system.terminal import visible

_MARKUP = re.compile(r"[\\`*\[\]<>|$~&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def markdown_text(text: str) -> str:
    """Returns text on one line that Markdown shows as it is."""
    return _MARKUP.sub(r"\\\g<0>", visible(text))


def markdown_code(text: str) -> str:
    """Returns text as code within a line."""
    text = visible(text)
    fence = _longer_fence(text, 1)
    # Markdown removes one space at each end if there are two.
    is_padded = text.startswith("`") or text.endswith("`") or (text[:1] == text[-1:] == " ")
    space = " " if is_padded and text.strip(" ") else ""
    return f"{fence}{space}{text}{space}{fence}"


def markdown_block(text: str, language: str) -> str:
    """Returns lines of code as a block."""
    fence = _longer_fence(text, 3)
    return f"{fence}{language}\n{text}{fence}\n"


def _longer_fence(text: str, shortest: int) -> str:
    longest = max(map(len, re.findall("`+", text)), default=0)
    return "`" * max(shortest, longest + 1)

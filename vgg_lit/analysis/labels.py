r"""The fonts of figures, and text in characters that they have.

with_known_glyphs("花")    # 花 if a font has it, otherwise \u82b1
"""

import logging
from contextlib import suppress
from functools import cache

from matplotlib import font_manager

from vgg_lit.system.operating_system import lists_fonts_fast

LATIN = "DejaVu Sans"
"""The font that matplotlib ships."""

OTHERS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei"),
    *("Microsoft YaHei", "PingFang SC", "Hiragino Sans", "SimHei", "Arial Unicode MS"),
    *("Droid Sans Fallback", "Noto Sans Devanagari", "Noto Sans Arabic"),
)
"""Fonts with further scripts, of the usual systems; those that are installed are used."""


@cache
def font_families() -> list[str]:
    """Returns the fonts of figures: matplotlib's own, then installed ones with further scripts."""
    # A font without a normal weight is drawn in the one that it has, without a warning at each figure.
    logging.getLogger("matplotlib.font_manager").addFilter(
        lambda record: "font weight" not in record.getMessage()
    )
    if lists_fonts_fast():
        _add_new_fonts()
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return [LATIN, *(name for name in OTHERS if name in installed)]


def _add_new_fonts() -> None:
    """Adds the fonts that were installed after matplotlib wrote its list of fonts, which it does not renew."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for file in sorted({*font_manager.findSystemFonts()} - known):
        with suppress(Exception):  # a damaged font, or one of bitmaps
            font_manager.fontManager.addfont(file)


@cache
def _characters() -> frozenset[int]:
    """Returns the code points that the fonts can draw."""
    files = (font_manager.findfont(family) for family in font_families())
    return frozenset().union(*(font_manager.get_font(file).get_charmap() for file in files))


def with_known_glyphs(text: str) -> str:
    r"""Returns text with characters that no font has as escapes such as `\u82b1`."""
    if text.isascii():
        return text
    known = _characters()
    return "".join(
        c if ord(c) in known else c.encode("unicode_escape").decode("ascii") for c in text
    )

"""The common style of all figures: text readable at 100 %, colours safe for colour blindness.

@rc_context(STYLE)
def a_figure(...) -> Figure: ...

Source: Okabe & Ito 2008, "Color Universal Design", for the colours of curves; Petroff 2021, "Accessible
color sequences for data visualization", for the colours of classes.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.ticker import Formatter, MaxNLocator

from vgg_lit.analysis.labels import font_families, with_known_glyphs
from vgg_lit.system.files import replacing
from vgg_lit.system.terminal import visible
from vgg_lit.table_widths import shorten_middle

DPI = 110
"""Resolution of saved figures: an inch of the figure is about an inch on the screen."""

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, YELLOW = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#F0E442",
)
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, YELLOW)
CLASS_COLOURS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
MARKERS = "osD^vPX<>"
"""Markers of classes: with the ten colours they give ninety distinct combinations."""

TRAIN, VALIDATION = BLUE, VERMILION
RIGHT, WRONG = BLUE, VERMILION
GREY = "#6B6B6B"

SEQUENTIAL = "viridis"  # for values from 0 up
DIVERGING = "RdBu_r"  # for values around 0

TEXT, SMALL = 9, 8  # points
WIDEST = 24  # columns of a class name at an axis or in a legend

STYLE: Any = {  # keys of matplotlib.rcParams
    "font.family": font_families(),
    "font.size": TEXT,
    "axes.titlesize": TEXT + 1,
    "axes.titlelocation": "left",
    "axes.labelsize": TEXT,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "legend.framealpha": 0.9,
    "legend.edgecolor": "none",
    "legend.fontsize": TEXT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "figure.titlesize": TEXT + 1,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def figure_text(text: str) -> str:
    """Returns text on one line that matplotlib shows as it is: without formulas between dollar signs.

    A legend would leave out a name that starts with an underscore.
    """
    shown = with_known_glyphs(visible(text)).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def class_label(name: str, width: int = WIDEST) -> str:
    """Returns a class name of about `width` columns for an axis or a legend.

    Characters without a glyph are replaced by their escapes first, which are wider.
    """
    return figure_text(shorten_middle(with_known_glyphs(visible(name)), width))


def class_labels(names: Sequence[str]) -> list[str]:
    """Returns the labels of all classes; if several are shortened to the same, with their numbers in front."""
    labels = [class_label(name) for name in names]
    if len(set(labels)) == len(set(names)):
        return labels
    return [class_label(f"{number}: {name}") for number, name in enumerate(names)]


def figure_lines(text: str) -> str:
    """Returns lines that matplotlib shows as they are."""
    return "\n".join(map(figure_text, text.split("\n")))


class Percentages(Formatter):
    """Formats the fractions at the ticks of an axis as percentages, with the decimals that all ticks need.

    Args:
        unit: text after the number.
    """

    def __init__(self, unit: str = "%") -> None:
        self.unit = unit

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Returns the text at one tick."""
        return self.format_ticks([x])[0]

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """Returns the texts at all ticks."""
        ticks = 100 * np.asarray(values)
        decimals = next((n for n in range(3) if np.allclose(ticks, ticks.round(n), 0, 1e-6)), 3)
        rounded = ticks.round(decimals) + 0.0  # no minus in front of 0
        return [self.fix_minus(f"{tick:.{decimals}f} {self.unit}") for tick in rounded]


def show_percent(axis: Any, unit: str = "%") -> None:
    """Shows the fractions of an axis in per cent, or in points."""
    axis.set_major_formatter(Percentages(unit))


def show_integers(axis: Any) -> None:
    """Puts the ticks of an axis at integers, such as epochs."""
    # with two ticks at least, an axis around one epoch would have fractions
    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


@contextmanager
def without_font_warnings() -> Iterator[None]:
    """Returns a context in which characters that the font lacks, such as emoji, are boxes without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure in the format of the file's ending, as `vgg_lit.system.files.replacing` does."""
    with replacing(path) as temporary, without_font_warnings():
        figure.savefig(temporary, format=path.suffix[1:], dpi=DPI)

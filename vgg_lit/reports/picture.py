"""A figure of a run with its text, and the options of figures."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from vgg_lit.table_widths import TextRows


@dataclass(frozen=True)
class Picture:
    """A figure with its title and text.

    Attributes:
        name: file name without suffix.
        title: title of the section in the report.
        text: paragraphs below the figure.
        figure: matplotlib figure.
        table: rows of a table in the report, after the text; empty: no table.
    """

    name: str
    title: str
    text: Sequence[str]
    figure: Figure
    table: TextRows = ()


@dataclass(frozen=True)
class Choice:
    """The options of the figures.

    Attributes:
        images: number of images in each gallery.
        image: input image file; None: images of the split.
        layers: layers whose maps are shown; None: the first convolution of each block.
        embeddings: number of images in the projections of embeddings.
    """

    images: int
    image: str | None
    layers: Sequence[str] | None
    embeddings: int

"""A picture of a run, and the choice of what is shown in it."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure and what is said of it.

    Attributes:
        name: of the file, without suffix.
        title: of the section of the report.
        text: below it, a paragraph an item.
        figure: the drawing.
    """

    name: str
    title: str
    text: Sequence[str]
    figure: Figure


@dataclass(frozen=True)
class Choice:
    """What of a run is shown.

    Attributes:
        images: in each gallery.
        image: file to look into the network with; None: images of the split.
        layers: whose maps are shown; None: the first convolution of each block.
        embeddings: images in the maps of embeddings.
    """

    images: int
    image: str | None
    layers: Sequence[str] | None
    embeddings: int

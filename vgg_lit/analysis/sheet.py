"""A figure laid out in inches, so that images and text cannot overlap.

sheet = ImageSheet(width=4, height=2, title="two images")
sheet.image(image_HWD, left=0, top=0.5, side=1)
sheet.text("a caption", left=0, top=1.55)
"""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vgg_lit.analysis.labels import font_families, with_known_glyphs
from vgg_lit.analysis.style import SMALL, STYLE, TEXT, figure_lines
from vgg_lit.system.terminal import visible
from vgg_lit.table_widths import shorten_middle

MARGIN = 0.1  # inches
LINE = 0.145  # inches per line of small text
CHARACTERS_PER_INCH = 15  # of small text, a conservative estimate


class ImageSheet:
    """Images and texts below a title, positioned in inches from the upper left corner.

    Args:
        width: width of the content in inches.
        height: height of the content in inches.
        title: text above the content; may have several lines.

    Attributes:
        figure: the matplotlib figure.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        top = (title.count("\n") + 1) * 0.19 + 0.1
        full_width, full_height = width + 2 * MARGIN, height + top + 2 * MARGIN
        self.figure = Figure(figsize=(full_width, full_height), facecolor=STYLE["figure.facecolor"])
        self._axes = self.figure.add_axes((0, 0, 1, 1), frameon=False, xticks=[], yticks=[])
        self._axes.set(xlim=(-MARGIN, width + MARGIN), ylim=(height + MARGIN, -top - MARGIN))
        self._axes.set_autoscale_on(False)
        self.text(title, 0, -top, size=TEXT + 1)

    def image(
        self,
        image_HWD: np.ndarray,
        left: float,
        top: float,
        side: float,
        limits: tuple[float, float] = (0, 1),
        cmap: str = "gray",
        alpha: float = 1.0,
    ) -> None:
        """Places an image without interpolation: in colour if D is 3, else scaled to `limits`."""
        one = image_HWD[..., 0] if image_HWD.ndim == 3 and image_HWD.shape[-1] == 1 else image_HWD
        self._axes.imshow(
            one,
            cmap=cmap,
            vmin=limits[0],
            vmax=limits[1],
            interpolation="nearest",
            aspect="auto",
            alpha=alpha,
            extent=(left, left + side, top + side, top),
        )

    def text(self, text: str, left: float, top: float, size: float = SMALL, **options: Any) -> None:
        """Places text by its upper left corner; `options` may change the alignment."""
        style = {"fontsize": size, "family": font_families(), "va": "top", **options}
        self._axes.text(left, top, figure_lines(text), **style)


def shortened(text: str, inches: float) -> str:
    """Shortens a line of small text to a width, in the middle, since long names often differ at their ends.

    Characters without a glyph are replaced by their escapes first, which are wider.
    """
    return shorten_middle(with_known_glyphs(visible(text)), int(inches * CHARACTERS_PER_INCH))

"""A figure that is laid out in inches, so that images and the text beside them cannot overlap.

sheet = ImageSheet(width=4, height=2, title="two images")
sheet.image(image_HWD, left=0, top=0.5, side=1)
sheet.text("a caption", left=0, top=1.55)
"""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vgg_lit.analysis.style import SMALL, STYLE, TEXT

MARGIN = 0.1  # inches
LINE = 0.145  # inches a line of small text
CHARACTERS_PER_INCH = 15  # of small text, on the safe side


class ImageSheet:
    """Images and texts at places in inches from the upper left corner, below a title.

    Args:
        width: of what is placed on it.
        height: of it.
        title: above it; may have several lines.

    Attributes:
        figure: the drawing.
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
        """Places an image pixel by pixel, in colour if D is 3; else `limits` are its darkest and lightest."""
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
        """Places text, its upper left corner unless `options` say otherwise."""
        self._axes.text(left, top, text, **{"fontsize": size, "va": "top", **options})


def shortened(text: str, inches: float) -> str:
    """A line of small text that is no wider than this, with an ellipsis where it was cut."""
    most = int(inches * CHARACTERS_PER_INCH)
    return text if len(text) <= most else f"{text[: most - 1]}…"

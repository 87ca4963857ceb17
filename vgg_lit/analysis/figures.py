"""Figures from plain arrays: each function draws one and returns it, unsaved.

figure = image_grid(images_RCHWD, row_labels=classes, column_titles=["original", "epoch 1"])
figure.savefig("grid.png")
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

_CELL, _LINE = 1.2, 0.12  # inches: a small image's side, a line of text
_TEXT = 7  # points


def image_grid(
    images_RCHWD: np.ndarray,
    row_labels: Sequence[str],
    column_titles: Sequence[str],
    captions: Sequence[Sequence[str]] | None = None,
) -> Figure:
    """Images in rows and columns, pixel by pixel.

    Args:
        images_RCHWD: values in 0..1, of R rows and C columns; D is 1 for grey, 3 for colour.
        row_labels: R texts, left of the rows.
        column_titles: C texts, above the columns.
        captions: R times C texts below the images; None: none.
    """
    rows, columns = images_RCHWD.shape[:2]
    lines = 0 if captions is None else _most_lines(captions)
    height = (_CELL + _LINE * (lines + 1)) * rows + 2 * _LINE
    figure = Figure(figsize=(_CELL * columns + 1, height), layout="constrained")
    axes_RC = figure.subplots(rows, columns, squeeze=False)
    for row, column in np.ndindex(rows, columns):
        axes = axes_RC[row, column]
        image = images_RCHWD[row, column]
        image = image[..., 0] if image.shape[-1] == 1 else image
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
        if captions is not None:
            axes.set_xlabel(captions[row][column], fontsize=_TEXT)
        if row == 0:
            axes.set_title(column_titles[column], fontsize=_TEXT)
        if column == 0:
            axes.set_ylabel(row_labels[row], fontsize=_TEXT)
    return figure


def _most_lines(captions: Sequence[Sequence[str]]) -> int:
    return max(text.count("\n") + 1 for row in captions for text in row)

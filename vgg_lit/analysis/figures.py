"""Figures of images from plain arrays; each function returns an unsaved figure.

figure = image_grid(images_RCHWD, row_labels=classes, column_titles=["original", "epoch 1"])
figure.savefig("grid.png")

Shape suffixes: N images, C filters or maps, H x W pixels, D channels (1 grey or 3 colour). Pixel values
are in 0..1.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vgg_lit.analysis.sheet import LINE, ImageSheet, shortened
from vgg_lit.analysis.style import (
    COLOURS,
    DIVERGING,
    GREY,
    SEQUENTIAL,
    SMALL,
    STYLE,
    class_label,
    figure_lines,
)

_CELL, _GAP = 1.05, 0.1  # inches: side of a small image, space between images
_COLUMNS = 8


@rc_context(STYLE)
def image_grid(
    images_RCHWD: np.ndarray,
    row_labels: Sequence[str],
    column_titles: Sequence[str],
    captions: Sequence[Sequence[str]] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws images in rows and columns, without interpolation.

    Args:
        images_RCHWD: images in R rows and C columns.
        row_labels: R texts, left of the rows.
        column_titles: C texts, above the columns.
        captions: R x C texts below the images; None: no captions.
        title: title of the figure; None: no title.
    """
    rows, columns = images_RCHWD.shape[:2]
    lines = 0 if captions is None else _most_lines(captions)
    height = (_CELL + 0.15 + LINE * (lines + 1)) * rows + 2 * LINE + (0.2 if title else 0)
    figure = Figure(figsize=((_CELL + 0.15) * columns + 1, height), layout="constrained")
    axes_RC = figure.subplots(rows, columns, squeeze=False)
    for row, column in np.ndindex(rows, columns):
        axes = axes_RC[row, column]
        image = images_RCHWD[row, column]
        image = image[..., 0] if image.shape[-1] == 1 else image
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        if captions is not None:
            axes.set_xlabel(figure_lines(captions[row][column]), fontsize=SMALL)
        if row == 0:
            axes.set_title(figure_lines(column_titles[column]), fontsize=SMALL, loc="center")
        if column == 0:
            axes.set_ylabel(class_label(row_labels[row]), fontsize=SMALL)
    if title:
        figure.suptitle(figure_lines(title), x=0.005, ha="left")
    return figure


def _most_lines(captions: Sequence[Sequence[str]]) -> int:
    return max(text.count("\n") + 1 for row in captions for text in row)


def gallery(images_NHWD: np.ndarray, captions: Sequence[Sequence[str]], title: str) -> Figure:
    """Draws images in reading order, with captions below; caption lines are cut to the image width."""
    if not len(images_NHWD):
        return _nothing(title)
    columns = min(_COLUMNS, len(images_NHWD))
    step = _CELL + max(map(len, captions)) * LINE + _GAP
    rows = -(-len(images_NHWD) // columns)
    sheet = ImageSheet(_COLUMNS * (_CELL + _GAP) - _GAP, rows * step - _GAP, title)
    for index, (image, lines) in enumerate(zip(images_NHWD, captions, strict=True)):
        row, column = divmod(index, columns)
        left, top = column * (_CELL + _GAP), row * step
        sheet.image(image, left, top, _CELL)
        sheet.text(_lines(lines, _CELL), left, top + _CELL + 0.03)
    return sheet.figure


def image_rows(
    rows: Sequence[tuple[Sequence[str], np.ndarray, Sequence[str]]], title: str
) -> Figure:
    """Draws rows of images, each row next to its label.

    Args:
        rows: (lines of the label, images_NHWD, one caption per image, of one or several lines) of each
            row.
        title: title of the figure.
    """
    if not rows:
        return _nothing(title)
    label_width = 2 * _CELL
    step = _CELL + max(_most_lines([captions]) for _, _, captions in rows) * LINE + _GAP
    columns = _COLUMNS - 2
    sheet = ImageSheet(_COLUMNS * (_CELL + _GAP) - _GAP, len(rows) * step - _GAP, title)
    for number, (label, images_NHWD, captions) in enumerate(rows):
        top = number * step
        sheet.text(_lines(label, label_width), 0, top + _CELL / 2, va="center")
        for column, (image, caption) in enumerate(zip(images_NHWD, captions, strict=True)):
            if column < columns:
                left = 2 * (_CELL + _GAP) + column * (_CELL + _GAP)
                sheet.image(image, left, top, _CELL)
                sheet.text(_lines(caption.split("\n"), _CELL), left, top + _CELL + 0.03)
    return sheet.figure


def filter_grid(weights_CDHW: np.ndarray, title: str) -> Figure:
    """Draws the kernels of a first layer.

    Kernels with three input channels are drawn in colour, where grey is 0. Other kernels are red above
    and blue below 0. All kernels share one scale, so that weak filters look weak.
    """
    largest = float(np.abs(weights_CDHW).max()) or 1.0
    count, channels = weights_CDHW.shape[:2]
    columns, side = 16, 0.5
    rows = -(-count // columns)
    sheet = ImageSheet(columns * (side + _GAP / 2), rows * (side + _GAP / 2), title)
    for index, kernel_DHW in enumerate(weights_CDHW):
        row, column = divmod(index, columns)
        place = (column * (side + _GAP / 2), row * (side + _GAP / 2), side)
        if channels == 3:
            sheet.image(0.5 + kernel_DHW.transpose(1, 2, 0) / (2 * largest), *place)
        else:
            sheet.image(kernel_DHW.mean(axis=0), *place, (-largest, largest), DIVERGING)
    return sheet.figure


def activation_maps(
    image_HWD: np.ndarray, maps: Mapping[str, np.ndarray], title: str, most: int = 10
) -> Figure:
    """Draws the image and, in one row per layer, the maps (C, H, W) with the largest mean magnitude.

    Each layer has one scale. In a layer with negative values, red is above and blue below 0.
    """
    side, left = 0.72, 1.3
    across, down = side + _GAP / 2, side + LINE + _GAP
    sheet = ImageSheet(left + most * across, side + len(maps) * down, title)
    sheet.text("input image", 0, side / 2, va="center")
    sheet.image(image_HWD, left, 0, side)
    for row, (name, maps_CHW) in enumerate(maps.items(), 1):
        shape = " x ".join(map(str, maps_CHW.shape))
        top = row * down
        sheet.text(f"{shortened(name, left)}\n{shape}", 0, top + side / 2, va="center")
        largest = float(np.abs(maps_CHW).max()) or 1.0
        is_signed = maps_CHW.min() < 0
        scale = ((-largest, largest), DIVERGING) if is_signed else ((0.0, largest), SEQUENTIAL)
        strength_C = np.abs(maps_CHW).mean(axis=(1, 2))
        for column, channel in enumerate(np.argsort(-strength_C, kind="stable")[:most]):
            sheet.image(maps_CHW[channel], left + column * across, top, side, *scale)
            sheet.text(f"{channel}", left + column * across, top - LINE + 0.02, size=7, color=GREY)
    return sheet.figure


def attribution_rows(
    images_NHWD: np.ndarray,
    labels: Sequence[Sequence[str]],
    heat: Mapping[str, np.ndarray],
    title: str,
) -> Figure:
    """Draws one row per image, with the attribution maps (N, H, W) of each method in its columns.

    Each map has a separate scale. In a map with negative values, red is evidence for the class and blue
    evidence against it.
    """
    side, left = 1.3, 1.75
    step = side + _GAP
    height = len(images_NHWD) * step + LINE
    sheet = ImageSheet(left + (1 + 2 * len(heat)) * step, height, title)
    sheet.text("image", left, 0)
    for column, name in enumerate(heat):
        sheet.text(name, left + (1 + 2 * column) * step, 0)
    for row, image_HWD in enumerate(images_NHWD):
        top = LINE + 0.05 + row * step
        sheet.text(_lines(labels[row], left), 0, top + side / 2, va="center")
        sheet.image(image_HWD, left, top, side)
        grey_HW = image_HWD.mean(axis=-1)
        for column, heat_NHW in enumerate(heat.values()):
            largest = float(np.abs(heat_NHW[row]).max()) or 1.0
            is_signed = heat_NHW[row].min() < 0
            limits = (-largest if is_signed else 0.0, largest)
            cmap = DIVERGING if is_signed else SEQUENTIAL
            place = left + (1 + 2 * column) * step
            sheet.image(heat_NHW[row], place, top, side, limits, cmap)
            sheet.image(grey_HW, place + step, top, side)
            sheet.image(heat_NHW[row], place + step, top, side, limits, cmap, alpha=0.6)
    return sheet.figure


@rc_context(STYLE)
def receptive_field_chart(
    image_HWD: np.ndarray, fields: Mapping[str, tuple[float, float]], title: str
) -> Figure:
    """Draws the receptive field of the centre unit of each layer over the image and its padding.

    Args:
        image_HWD: input image of the network.
        fields: layer -> (centre, side) of the field in pixels, equal in both directions.
        title: title of the figure.
    """
    columns = min(5, len(fields))
    rows = -(-len(fields) // columns)
    figure = Figure(figsize=(1.85 * columns, 2.1 * rows + 0.3), layout="constrained")
    axes_N = figure.subplots(rows, columns, squeeze=False).flatten()
    height, width = image_HWD.shape[:2]
    shown = image_HWD[..., 0] if image_HWD.shape[-1] == 1 else image_HWD
    for axes, (name, (centre, side)) in zip(axes_N, fields.items(), strict=False):
        low, high = centre - side / 2, centre + side / 2
        axes.imshow(
            shown,
            cmap="gray",
            vmin=0,
            vmax=1,
            interpolation="nearest",
            extent=(0, width, height, 0),
        )
        axes.add_patch(
            Rectangle((low, low), side, side, edgecolor=COLOURS[1], facecolor="none", linewidth=2)
        )
        margin = 0.06 * max(width, high - low)
        limits = min(0, low) - margin, max(width, high) + margin
        axes.set(xlim=limits, ylim=limits[::-1], xticks=[], yticks=[], facecolor="#D9D9D9")
        axes.set_title(figure_lines(f"{name}\n{side:g} x {side:g} pixels"), fontsize=SMALL)
        axes.spines[:].set_visible(False)
    for axes in axes_N[len(fields) :]:
        axes.set_visible(False)
    figure.suptitle(figure_lines(title), x=0.005, ha="left")
    return figure


def _lines(lines: Sequence[str], inches: float) -> str:
    return "\n".join(shortened(line, inches) for line in lines)


def _nothing(title: str) -> Figure:
    sheet = ImageSheet(_COLUMNS * (_CELL + _GAP) - _GAP, LINE, title)
    sheet.text("No images.", 0, 0)
    return sheet.figure

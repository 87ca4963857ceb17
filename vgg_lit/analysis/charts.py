"""Charts of a run's history, confusion matrix, class scores, calibration and embeddings.

figure = confusion_chart(matrix_KK, classes)
figure.savefig("confusion.png", dpi=DPI)
"""

from collections.abc import Sequence
from math import lcm
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from vgg_lit.analysis.history import History
from vgg_lit.analysis.style import (
    CLASS_COLOURS,
    COLOURS,
    GREY,
    MARKERS,
    RIGHT,
    SMALL,
    STYLE,
    TRAIN,
    VALIDATION,
    WRONG,
    class_labels,
    figure_text,
    show_integers,
    show_percent,
)

WIDTH = 9.0  # inches
MOST_NUMBERS = 20
"""Largest number of classes for which a confusion matrix shows its numbers."""
MOST_SCORES = 100
"""Largest number of classes whose scores one figure shows."""
LEGEND_ROWS, LEGEND_WIDTH = 30, 2.2
"""Classes in a column of a legend, and the width of a further column in inches."""
MOST_LOOKS = lcm(len(CLASS_COLOURS), len(MARKERS))
"""Number of distinct combinations of colour and marker."""


@rc_context(STYLE)
def history_chart(history: History) -> Figure:
    """Draws loss, accuracy, learning rate and the gap between training and validation, by epoch."""
    figure = Figure(figsize=(WIDTH, 6.4), layout="constrained")
    (loss, accuracy), (rate, gap) = figure.subplots(2, 2, sharex=True)
    for axes, quantity in ((loss, "loss"), (accuracy, "acc")):
        _curve(axes, history, f"train/{quantity}", "training", TRAIN, "-")
        _curve(axes, history, f"val/{quantity}", "validation", VALIDATION, "--")
    _curve(rate, history, "lr", "learning rate", COLOURS[2], "-")
    gap.plot(history.epochs, history.gap(), color=COLOURS[3], marker="o")
    loss.set(title="Loss", ylim=(0, None))
    accuracy.set(title="Accuracy")
    show_percent(accuracy.yaxis)
    rate.set(title="Learning rate, log scale", xlabel="epoch", yscale="log")
    gap.set(title="Accuracy gap: training - validation", xlabel="epoch")
    gap.axhline(0, color=GREY, linewidth=1)
    show_percent(gap.yaxis, unit="points")
    best = history.best
    for axes in (loss, accuracy, rate, gap):
        show_integers(axes.xaxis)
        if best is not None:
            text = figure_text(f"best {history.monitor}: epoch {history.epochs[best]}")
            label = text if axes is loss else None
            axes.axvline(history.epochs[best], color=GREY, linestyle=":", label=label)
    for axes in (loss, accuracy):
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    return figure


def _curve(axes: Any, history: History, metric: str, label: str, colour: str, line: str) -> None:
    """Draws a line through the epochs in which a metric was measured."""
    points = [
        point
        for point in zip(history.epochs, history[metric], strict=True)
        if not np.isnan(point[1])
    ]
    if points:
        axes.plot(*zip(*points, strict=True), line, color=colour, marker="o", label=label)


@rc_context(STYLE)
def range_test_chart(rates: Sequence[float], losses: Sequence[float], taken: float) -> Figure:
    """Draws the training loss of a range test, in which the learning rate rises with each step.

    Args:
        rates: learning rate of each step.
        losses: smoothed loss around each step.
        taken: chosen learning rate.
    """
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(rates, losses, color=TRAIN, label="training loss")
    axes.axvline(taken, color=COLOURS[1], linestyle="--", label=f"chosen: {taken:.3g}")
    axes.set(title="Range test", xlabel="learning rate, log scale", xscale="log")
    room = 0.1 * (max(losses[: len(losses) // 2]) - min(losses))
    axes.set_ylim(
        min(losses) - room, max(losses[: len(losses) // 2]) + room
    )  # cuts off the divergence
    axes.set_ylabel("loss, averaged over neighbouring steps")
    axes.legend()
    return figure


@rc_context(STYLE)
def confusion_chart(matrix_KK: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Draws a confusion matrix: colours are shares of the true class, numbers are image counts."""
    count = len(classes)
    has_numbers = count <= MOST_NUMBERS
    side = min(9.0, 2.6 + 0.5 * count) if has_numbers else 9.0
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.add_subplot()
    share_KK = matrix_KK / np.maximum(matrix_KK.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share_KK, cmap="Blues", vmin=0, vmax=1)
    axes.grid(False)
    step = 1 if count <= 60 else -(-count // 60)
    ticks = range(0, count, step)
    size = SMALL if count <= 40 else 6
    labels = class_labels(classes)
    names = [labels[k] for k in ticks]
    axes.set_xticks(ticks, names, rotation=45, ha="right", rotation_mode="anchor", fontsize=size)
    axes.set_yticks(ticks, names, fontsize=size)
    axes.set(xlabel="predicted class", ylabel="true class", title=figure_text(title))
    if has_numbers:
        for row, column in zip(*matrix_KK.nonzero(), strict=True):
            colour = "white" if share_KK[row, column] > 0.5 else "black"
            number = f"{matrix_KK[row, column]:,}"
            axes.text(column, row, number, ha="center", va="center", color=colour, fontsize=SMALL)
    bar = figure.colorbar(image, ax=axes, shrink=0.7, label="share of the true class")
    show_percent(bar.ax.yaxis)
    return figure


@rc_context(STYLE)
def class_scores_chart(
    classes: Sequence[str], precision: np.ndarray, recall: np.ndarray, f1: np.ndarray
) -> Figure:
    """Draws precision, recall and F1 of each class, lowest F1 on top; of many classes, the lowest ones."""
    order = np.argsort(-f1, kind="stable")[-MOST_SCORES:]
    height = 1.4 + 0.3 * len(order)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    y = np.arange(len(order))
    lows, highs = np.minimum(precision, recall)[order], np.maximum(precision, recall)[order]
    axes.hlines(y, lows, highs, color="#C8C8C8", linewidth=2, zorder=1)
    for values, name, colour, marker in (
        (precision, "precision: share of its predictions that are correct", COLOURS[0], "D"),
        (recall, "recall: share of its images that are recognised", COLOURS[1], "o"),
        (f1, "F1", COLOURS[6], "|"),
    ):
        axes.scatter(values[order], y, color=colour, marker=marker, s=40, label=name, zorder=2)
    labels = class_labels(classes)
    axes.set_yticks(y, [labels[k] for k in order])
    title = "Precision, recall and F1 by class"
    if len(order) < len(classes):
        title += f": the lowest {len(order)} of {len(classes):,}"
    axes.set(ylim=(-0.7, len(order) - 0.3), title=title)
    show_percent(axes.xaxis)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@rc_context(STYLE)
def calibration_chart(
    edges: np.ndarray,
    images: np.ndarray,
    confidence: np.ndarray,
    accuracy: np.ndarray,
    error: float,
) -> Figure:
    """Draws accuracy against confidence, and a histogram of the confidence."""
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    widths = np.diff(edges)
    upper.bar(
        edges[:-1],
        np.nan_to_num(accuracy),
        widths,
        align="edge",
        color=RIGHT,
        edgecolor="white",
        label="accuracy of each bin",
    )
    label = "accuracy at the mean confidence of the bin"
    upper.plot(confidence, accuracy, "o", color=WRONG, clip_on=False, zorder=3, label=label)
    upper.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1.2, label="perfectly calibrated")
    upper.set(
        title=f"Expected calibration error: {100 * error:.1f} points",
        ylabel="accuracy",
        ylim=(0, 1.02),
    )
    figure.legend(loc="outside lower center", ncols=1)
    lower.bar(edges[:-1], images, widths, align="edge", color=GREY, edgecolor="white")
    lower.set(xlabel="confidence: probability of the predicted class", ylabel="images", xlim=(0, 1))
    for axis in (upper.yaxis, lower.xaxis):
        show_percent(axis)
    return figure


@rc_context(STYLE)
def embedding_chart(
    points_N2: np.ndarray,
    labels_N: np.ndarray,
    classes: Sequence[str],
    images_NHWD: np.ndarray,
    title: str,
) -> Figure:
    """Draws embeddings as points coloured by class, and some of the images at their points.

    Args:
        points_N2: positions in the plane.
        labels_N: class of each image.
        classes: class names, by label.
        images_NHWD: images with values in 0..1; D is 1 or 3 channels.
        title: title of the figure.
    """
    columns = -(-len(classes) // LEGEND_ROWS) if len(classes) <= MOST_LOOKS else 1
    figure = Figure(figsize=(WIDTH + LEGEND_WIDTH * (columns - 1), 7), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(False)
    for number, label in enumerate(class_labels(classes)):
        of_class = labels_N == number
        if of_class.any():
            colour, marker = _look(number)
            x, y = points_N2[of_class].T
            axes.scatter(x, y, s=14, color=colour, marker=marker, label=label)
    span = np.ptp(points_N2, axis=0).max()
    zoom = 22 / images_NHWD.shape[1]
    for index in _apart(points_N2, distance=0.055 * span, most=90):
        image = images_NHWD[index]
        shown = OffsetImage(
            image[..., 0] if image.shape[-1] == 1 else image, zoom=zoom, cmap="gray"
        )
        shown.image.set_clim(0, 1)
        colour, _ = _look(labels_N[index])
        frame = {"edgecolor": colour, "linewidth": 1.5}
        axes.add_artist(AnnotationBbox(shown, points_N2[index], pad=0.1, bboxprops=frame))
    axes.set(title=figure_text(title), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.margins(0.06)
    if len(classes) <= MOST_LOOKS:
        figure.legend(loc="outside right upper", markerscale=1.6, ncols=columns)
    return figure


def _look(label: int) -> tuple[str, str]:
    """Returns the colour and marker of a class."""
    return CLASS_COLOURS[label % len(CLASS_COLOURS)], MARKERS[label % len(MARKERS)]


def _apart(points_N2: np.ndarray, distance: float, most: int) -> list[int]:
    """Selects points at least `distance` apart, in a random order with a fixed seed."""
    chosen: list[int] = []
    for index in np.random.default_rng(0).permutation(len(points_N2)):
        point = points_N2[index]
        offsets = np.abs(points_N2[np.array(chosen, dtype=int)] - point).max(axis=1)
        if len(chosen) < most and (offsets >= distance).all():
            chosen.append(index)
    return chosen

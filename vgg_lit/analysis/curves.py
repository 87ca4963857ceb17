"""Learning curves of several runs in one figure.

figure = learning_curves({"val/acc": {"seed=0": ([1, 2, 3], [0.5, 0.7, 0.8]), "seed=1": ...}})
figure.savefig("curves.png")
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vgg_lit.analysis.history import drawable
from vgg_lit.analysis.style import (
    COLOURS,
    STYLE,
    YELLOW,
    figure_lines,
    figure_text,
    show_integers,
    show_percent,
)
from vgg_lit.system.terminal import visible

Curve = tuple[Sequence[float], Sequence[float]]
"""Epochs, and the value of the metric after each of them."""


class MeanCurve(NamedTuple):
    """The mean of curves, and the standard deviation at each epoch."""

    epochs: Sequence[float]
    values: Sequence[float]
    deviations: Sequence[float]


LINE_COLOURS = tuple(colour for colour in COLOURS if colour != YELLOW)  # too light for a line

STYLES = ("-", "--", "-.", ":")
"""Line styles: curves differ in grey too, and two equal ones are both seen.

Seven colours and four styles, each in turn, give 28 looks.
"""

PANEL = (4.2, 3.0)  # inches
LEGEND_COLUMNS = 100
"""Characters in a line of the legend, which is about as wide as two panels; longer names are wrapped."""

MARGIN = 0.15  # inches, on both sides of the legend together


def mean_curve(curves: Sequence[Curve]) -> Curve | MeanCurve:
    """Returns the mean of curves at the epochs that all of them have; a single curve is returned."""
    if len(curves) == 1:
        return curves[0]
    by_epoch = [dict(zip(*curve, strict=True)) for curve in curves]
    epochs = sorted(set.intersection(*map(set, by_epoch)))
    values_RE = np.array(
        [[drawable(values[epoch]) for epoch in epochs] for values in by_epoch], float
    )
    with np.errstate(invalid="ignore"):  # a value that is not finite leaves a gap
        means_E, deviations_E = values_RE.mean(axis=0), values_RE.std(axis=0, ddof=1)
    return MeanCurve(epochs, means_E.tolist(), deviations_E.tolist())


@rc_context(STYLE)
def learning_curves(
    curves: Mapping[str, Mapping[str, Curve | MeanCurve]], columns: int = 2
) -> Figure:
    """Draws one panel per metric and one line per run, or per group of runs with a band around its mean.

    A run has the same colour and line style in every panel; one legend serves all panels. The mean of a single
    epoch has an error bar in place of a band.

    Args:
        curves: curves by metric, then by run or group.
        columns: panels per row.
    """
    note = _note(curves)
    runs = list(dict.fromkeys(run for by_run in curves.values() for run in by_run))
    looks: dict[str, dict[str, Any]] = {
        run: {
            "color": LINE_COLOURS[i % len(LINE_COLOURS)],
            "linestyle": STYLES[i % len(STYLES)],
        }
        for i, run in enumerate(runs)
    }
    columns = min(columns, len(curves))
    rows = -(-len(curves) // columns)
    names = [figure_lines(textwrap.fill(visible(run), LEGEND_COLUMNS)) for run in runs]
    lines_of_legend = sum(name.count("\n") + 1 for name in names) + bool(note)
    legend_height = 0.21 * lines_of_legend + 0.3
    figure = Figure(
        figsize=(PANEL[0] * columns, PANEL[1] * rows + legend_height), layout="constrained"
    )
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, (metric, by_run) in zip(panels, curves.items(), strict=False):
        for run, (epochs, values, *bands) in by_run.items():
            for deviations in bands:
                low = [value - spread for value, spread in zip(values, deviations, strict=True)]
                high = [value + spread for value, spread in zip(values, deviations, strict=True)]
                colour = looks[run]["color"]
                if len(epochs) == 1:
                    axes.vlines(epochs, low, high, color=colour)
                else:
                    axes.fill_between(epochs, low, high, color=colour, alpha=0.2, linewidth=0)
            marker = "o" if len(epochs) == 1 else None  # a single point draws no line
            shown = [drawable(value) for value in values]
            axes.plot(epochs, shown, linewidth=1.5, marker=marker, markersize=4, **looks[run])
        axes.set(title=figure_text(metric), xlabel="epoch")
        show_integers(axes.xaxis)
        if metric.rpartition("/")[2].startswith(("acc", "top")):
            show_percent(axes.yaxis)
    for axes in panels[len(curves) :]:
        axes.set_axis_off()
    lines = [Line2D([], [], linewidth=1.5, **look) for look in looks.values()]
    title = figure_text(note) if note else None
    legend = figure.legend(lines, names, loc="outside lower left", ncols=1, title=title)
    legend.set_alignment("left")
    legend_width = legend.get_window_extent().width / figure.dpi + MARGIN
    figure.set_figwidth(max(PANEL[0] * columns, legend_width))
    return figure


def _note(curves: Mapping[str, Mapping[str, Curve | MeanCurve]]) -> str:
    """Returns the title of the legend, which explains the means and deviations; empty without them."""
    lengths = {
        len(curve.epochs)
        for by_run in curves.values()
        for curve in by_run.values()
        if isinstance(curve, MeanCurve)
    }
    marks = (["line: mean, band"] if lengths - {1} else []) + (
        ["point: mean, bar"] if 1 in lengths else []
    )
    return "; ".join(f"{mark}: ± 1 standard deviation" for mark in marks)

"""Learning curves of several runs over each other.

figure = learning_curves({"val/acc": {"seed=0": ([1, 2, 3], [0.5, 0.7, 0.8]), "seed=1": ...}})
figure.savefig("curves.png")
"""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

Curve = tuple[Sequence[float], Sequence[float]]
"""Epochs, and the metric's value after each."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Told apart with every kind of colour vision. Source: Okabe & Ito 2008, without its yellow, which is
too light for a line."""

STYLES = ("-", "--", ":", "-.")
"""Of the first seven runs, the next seven and so on."""

PANEL = (4.2, 3.0)  # inches


def learning_curves(curves: Mapping[str, Mapping[str, Curve]], columns: int = 2) -> Figure:
    """A panel a metric, a line a run, which looks the same in every panel; one legend for all.

    Args:
        curves: by metric, then by run.
        columns: panels side by side.
    """
    runs = list(dict.fromkeys(run for by_run in curves.values() for run in by_run))
    looks: dict[str, dict[str, Any]] = {
        run: {
            "color": COLOURS[i % len(COLOURS)],
            "linestyle": STYLES[i // len(COLOURS) % len(STYLES)],
        }
        for i, run in enumerate(runs)
    }
    columns = min(columns, len(curves))
    rows = -(-len(curves) // columns)
    legend_height = 0.2 * len(runs) + 0.3
    figure = Figure(
        figsize=(PANEL[0] * columns, PANEL[1] * rows + legend_height), layout="constrained"
    )
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, (metric, by_run) in zip(panels, curves.items(), strict=False):
        for run, (epochs, values) in by_run.items():
            marker = "o" if len(epochs) == 1 else None  # one point is no line
            axes.plot(epochs, values, linewidth=1.5, marker=marker, markersize=4, **looks[run])
        axes.set_title(metric, fontsize=10, loc="left")
        axes.set_xlabel("epoch", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        if metric.rpartition("/")[2].startswith(("acc", "top")):
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    for axes in panels[len(curves) :]:
        axes.set_axis_off()
    lines = [Line2D([], [], linewidth=1.5, **look) for look in looks.values()]
    figure.legend(lines, runs, loc="outside lower left", fontsize=8, frameon=False, ncols=1)
    return figure

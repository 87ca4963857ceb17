"""Charts of a hyperparameter search: objective by trial, and importance of the settings.

figure = importance_chart({"optimizer.lr": 0.8, "label_smoothing": 0.2}, "val/acc")
figure.savefig("importance.png", dpi=DPI)
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from vgg_lit.analysis.style import (
    BLUE,
    GREY,
    STYLE,
    VERMILION,
    figure_text,
    show_integers,
    show_percent,
)
from vgg_lit.tables import is_accuracy

WIDTH = 7.5  # inches


@rc_context(STYLE)
def objective_chart(
    numbers: Sequence[int],
    values: Sequence[float],
    are_done: Sequence[bool],
    objective: str,
    is_higher_better: bool,
) -> Figure:
    """Draws the objective of each trial, and the best value so far.

    Args:
        numbers: trial numbers in ascending order.
        values: objective of each trial; for a pruned trial its last reported value.
        are_done: True for each trial that finished, False for each that was pruned.
        objective: name of the objective.
        is_higher_better: True if the objective is maximised.
    """
    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    axes = figure.add_subplot()
    x, y, done = np.array(numbers), np.array(values, dtype=float), np.array(are_done, dtype=bool)
    for mask, label, colour, marker in (
        (done, "trial", BLUE, "o"),
        (~done, "pruned trial, last value", GREY, "x"),
    ):
        if mask.any():
            axes.plot(x[mask], y[mask], marker, color=colour, label=label)
    worst = -np.inf if is_higher_better else np.inf
    better = np.maximum if is_higher_better else np.minimum
    best = better.accumulate(np.where(done, y, worst))
    known = np.isfinite(best)
    (line,) = axes.plot(x[known], best[known], color=VERMILION, label="best so far")
    line.set(drawstyle="steps-post", zorder=1.9)  # below the markers
    name = figure_text(objective)
    axes.set(title=f"{name} of {len(x)} trials", xlabel="trial", ylabel=name)
    show_integers(axes.xaxis)
    if is_accuracy(objective):
        show_percent(axes.yaxis)
    axes.legend()
    return figure


@rc_context(STYLE)
def importance_chart(importances: Mapping[str, float], objective: str) -> Figure:
    """Draws the importance of each setting for the objective, the largest on top."""
    figure = Figure(figsize=(WIDTH, 1.3 + 0.35 * len(importances)), layout="constrained")
    axes = figure.add_subplot()
    names = sorted(importances, key=importances.__getitem__)
    shares = [importances[name] for name in names]
    bars = axes.barh(list(map(figure_text, names)), shares, color=BLUE, height=0.6)
    axes.bar_label(bars, [f"{100 * share:.0f} %" for share in shares], padding=3)
    axes.set(
        title=f"Importance of settings for {figure_text(objective)}",
        xlabel="importance",
        xlim=(0, 1.1 * max(shares)),
    )
    show_percent(axes.xaxis)
    axes.grid(False, axis="y")
    return figure

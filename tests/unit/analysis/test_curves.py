"""Learning curves, read back from the axes of the figure."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_hex

from vgg_lit.analysis.curves import LINE_COLOURS, STYLES, MeanCurve, learning_curves, mean_curve

CURVES = {
    "val/loss": {"a": ([1, 2], [0.9, 0.5]), "b": ([1], [0.8])},
    "val/acc": {"b": ([1], [0.25]), "c": ([1, 2, 3], [0.5, 0.6, 0.7])},
    "lr": {"a": ([1, 2], [0.1, 0.01])},
}


def test_each_metric_has_a_panel_and_each_run_a_line():
    figure = learning_curves(CURVES)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.axison}
    assert list(panels) == list(CURVES)
    for metric, by_run in CURVES.items():
        lines = panels[metric].get_lines()
        assert len(lines) == len(by_run)
        for line, (epochs, values) in zip(lines, by_run.values(), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), epochs)
            np.testing.assert_array_equal(line.get_ydata(), values)


def test_a_run_looks_the_same_in_every_panel_and_in_the_legend():
    figure = learning_curves(CURVES)
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["a", "b", "c"]
    colours = dict(
        zip(names, (to_hex(line.get_color()) for line in legend.get_lines()), strict=True)
    )
    assert len(set(colours.values())) == 3
    for axes, by_run in zip(figure.axes, CURVES.values(), strict=False):
        for line, run in zip(axes.get_lines(), by_run, strict=True):
            assert to_hex(line.get_color()) == colours[run]


def test_a_single_epoch_is_a_point_that_can_be_seen():
    figure = learning_curves(CURVES)
    first = figure.axes[0].get_lines()
    assert [line.get_marker() for line in first] == ["None", "o"]


def test_a_long_label_is_inside_a_figure_of_one_panel():
    figure = learning_curves(
        {"loss": {f"{run} " + "W" * 8 + "x" * 51: ([1, 2], [0, 1]) for run in "ab"}}
    )
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1


def test_many_runs_have_distinct_lines():
    figure = learning_curves({"loss": {str(run): ([1, 2], [run, run]) for run in range(20)}})
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].get_lines()}
    assert len(looks) == 20 <= len(LINE_COLOURS) * len(STYLES)


def test_a_mean_curve_has_a_band_of_one_deviation_in_its_colour():
    curves = {
        "val/acc": {"a": ([1, 2], [0.2, 0.3]), "b": MeanCurve([1, 2], [0.5, 0.6], [0.1, 0.2])}
    }
    figure = learning_curves(curves)
    axes = figure.axes[0]
    (band,) = axes.collections
    assert to_hex(band.get_facecolor()) == to_hex(axes.get_lines()[1].get_color())
    corners = {(x, round(y, 6)) for x, y in band.get_paths()[0].vertices}
    assert corners == {(1, 0.4), (1, 0.6), (2, 0.4), (2, 0.8)}
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "line: mean, band: ± 1 standard deviation"


def test_the_mean_of_a_single_epoch_has_an_error_bar():
    figure = learning_curves({"val/acc": {"a": MeanCurve([1], [0.5], [0.1])}})
    (bar,) = figure.axes[0].collections
    np.testing.assert_allclose(bar.get_segments(), [[[1, 0.4], [1, 0.6]]])
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "point: mean, bar: ± 1 standard deviation"


def test_the_mean_of_curves_is_over_their_common_epochs():
    mean = mean_curve([([1, 2, 3], [0.1, 0.2, 0.3]), ([2, 3, 4], [0.4, 0.3, 0.9])])
    assert mean.epochs == [2, 3]
    assert mean.values == pytest.approx([0.3, 0.3])
    assert mean.deviations == pytest.approx([np.std([0.2, 0.4], ddof=1), 0])
    assert mean_curve([CURVES["lr"]["a"]]) == CURVES["lr"]["a"]


@pytest.mark.parametrize(("metric", "text"), [("val/acc", "50 %"), ("val/loss", "0.5")])
def test_accuracies_are_in_per_cent(metric, text):
    figure = learning_curves({metric: {"a": ([1, 2], [0.0, 1.0])}})
    axis = figure.axes[0].yaxis
    assert axis.get_major_formatter().format_ticks([0.0, 0.5, 1.0])[1] == text


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308])
def test_a_value_that_is_not_finite_leaves_a_gap(value):
    curve = mean_curve([([1, 2], [value, 0.4]), ([1, 2], [-value, 0.6])])
    assert np.isnan(curve.values[0])
    assert curve.values[1] == pytest.approx(0.5)
    single = ([1, 2, 3], [value, -value, 0.5])
    learning_curves({"val/loss": {"a": curve, "b": single}}).savefig(io.BytesIO())


def test_the_epoch_of_runs_with_one_epoch_is_an_integer():
    axes = learning_curves({"val/loss": {"a": ([1], [0.5])}}).axes[0]
    assert all(tick == round(tick) for tick in axes.get_xticks())


def test_a_long_label_is_wrapped_in_the_legend():
    names = [", ".join(f"{run}_setting_{n}=value" for n in range(12)) for run in "ab"]
    figure = learning_curves({metric: {n: ([1, 2], [0, 1]) for n in names} for metric in "xy"})
    figure.canvas.draw()
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [text.replace("\n", " ") for text in shown] == names
    assert all(text.count("\n") == 2 for text in shown)
    assert figure.get_figwidth() < 9
    short = learning_curves({metric: {n: ([1, 2], [0, 1]) for n in "ab"} for metric in "xy"})
    assert figure.get_figheight() > short.get_figheight() + 0.8

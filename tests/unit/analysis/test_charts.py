"""Charts show the given values, and their texts do not overlap."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from vgg_lit.analysis.charts import (
    calibration_chart,
    class_scores_chart,
    confusion_chart,
    embedding_chart,
    history_chart,
)
from vgg_lit.analysis.history import History

LONG = [f"a class with a long name {k}" for k in range(12)]


def history():
    value = np.linspace(0.1, 0.9, 30)
    metrics = {"train/acc": value, "val/acc": value - 0.05, "train/loss": 1 - value}
    return History(range(1, 31), metrics | {"val/loss": 1.1 - value, "lr": 0.1 * value})


def test_the_history_has_its_curves_and_the_best_epoch(texts_that_overlap):
    figure = history_chart(history())
    loss, accuracy, rate, gap = figure.axes
    assert [line.get_label() for line in accuracy.lines[:2]] == ["training", "validation"]
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), history()["val/acc"])
    assert rate.get_yscale() == "log"
    np.testing.assert_allclose(gap.lines[0].get_ydata(), 0.05)
    assert loss.lines[-1].get_label() == "best val/loss: epoch 30"
    assert texts_that_overlap(figure) == []


def test_the_best_epoch_is_that_of_the_monitor():
    metrics = {"val/loss": [0.3, 0.4, 0.5], "val/acc": [0.2, 0.6, 0.5]}
    loss = history_chart(History([1, 2, 3], metrics, "val/acc", "max")).axes[0]
    assert loss.lines[-1].get_label() == "best val/acc: epoch 2"
    assert set(loss.lines[-1].get_xdata()) == {2}


def test_epochs_without_validation_leave_a_gap_in_the_curve():
    metrics = {"train/acc": [0.1, 0.2, 0.3], "val/acc": [np.nan, 0.2, np.nan]}
    accuracy = history_chart(History([1, 2, 3], metrics)).axes[1]
    assert [len(line.get_xdata()) for line in accuracy.lines] == [3, 1]


def test_the_confusion_chart_has_its_numbers():
    matrix = np.arange(9).reshape(3, 3)
    figure = confusion_chart(matrix, ["a", "b", "c"], "title")
    axes = figure.axes[0]
    shown = {tuple(map(round, t.get_position())): t.get_text() for t in axes.texts}
    assert shown == {(c, r): str(matrix[r, c]) for r, c in np.ndindex(3, 3) if matrix[r, c]}
    np.testing.assert_allclose(axes.images[0].get_array()[1], np.array([3, 4, 5]) / 12)
    assert axes.get_xlabel() == "predicted class"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]


@pytest.mark.parametrize("count", [2, 12, 100])
def test_any_number_of_classes_is_legible(count, texts_that_overlap):
    classes = (LONG * 9)[:count]
    matrix = np.full((count, count), 1234)
    assert texts_that_overlap(confusion_chart(matrix, classes, "title")) == []
    score = np.linspace(0, 1, count)
    assert texts_that_overlap(class_scores_chart(classes, score, score, score)) == []


def test_the_worst_class_is_on_top():
    f1 = np.array([0.9, 0.1, 0.5])
    axes = class_scores_chart(["a", "b", "c"], f1, f1, f1).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "c", "b"]


def test_of_many_classes_the_worst_are_drawn(texts_that_overlap):
    f1 = np.random.default_rng(0).permutation(3000) / 3000
    figure = class_scores_chart([f"class {k}" for k in range(3000)], f1, f1, f1)
    (axes,) = figure.axes
    drawn = [label.get_text() for label in axes.get_yticklabels()][::-1]
    assert drawn == [f"class {k}" for k in np.argsort(f1)[:100]]
    assert len(drawn) == 100
    assert axes.get_title(loc="left").endswith("the lowest 100 of 3,000")
    assert figure.get_size_inches()[1] < 40
    assert texts_that_overlap(figure) == []


def test_calibration_bars_are_the_accuracies_of_the_bins(texts_that_overlap):
    edges, images = np.linspace(0, 1, 4), np.array([0, 5, 7])
    accuracy = np.array([np.nan, 0.4, 0.9])
    figure = calibration_chart(edges, images, accuracy, accuracy, 0.05)
    upper, lower = figure.axes
    assert [bar.get_height() for bar in upper.patches] == [0, 0.4, 0.9]
    assert [bar.get_height() for bar in lower.patches] == [0, 5, 7]
    assert "5.0 points" in upper.get_title(loc="left")
    assert texts_that_overlap(figure) == []


def test_embeddings_are_drawn_by_class_with_images_that_do_not_overlap():
    draws = np.random.default_rng(0)
    points, labels = draws.normal(size=(200, 2)), np.arange(200) % 3
    images = draws.random((200, 8, 8, 3))
    figure = embedding_chart(points, labels, ["a", "b", "c"], images, "title")
    (axes,) = figure.axes
    for label, dots in enumerate(axes.collections):
        np.testing.assert_allclose(dots.get_offsets(), points[labels == label])
    assert len({tuple(dots.get_facecolor()[0]) for dots in axes.collections}) == 3
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [box.get_window_extent(canvas.get_renderer()) for box in axes.artists]
    assert len(boxes) > 20
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_the_epoch_of_a_history_of_one_epoch_is_an_integer():
    figure = history_chart(History([1], {"train/acc": [0.1], "val/acc": [0.2], "train/loss": [1]}))
    for axes in figure.axes:
        assert all(tick == round(tick) for tick in axes.get_xticks())

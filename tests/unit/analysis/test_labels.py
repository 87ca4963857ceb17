"""Class names in figures: long ones, Chinese ones, control characters and dollar signs."""

import logging
import warnings

import numpy as np
import pytest
from rich.cells import cell_len

from vgg_lit.analysis import labels
from vgg_lit.analysis.charts import (
    class_scores_chart,
    confusion_chart,
    embedding_chart,
)
from vgg_lit.analysis.figures import gallery, image_grid
from vgg_lit.analysis.labels import with_known_glyphs
from vgg_lit.analysis.sheet import shortened
from vgg_lit.analysis.style import WIDEST, class_label, class_labels

LONG = [f"a very long name of a class of birds, number {k}" for k in range(40)]
CHINESE = ["\u82b1\u5349", "\u98de\u673a", "\u732b"]


def drawn(figure, tmp_path):
    """Saves a figure, and fails if matplotlib warns, e.g. of a missing glyph."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(tmp_path / "figure.png")
    return figure


@pytest.mark.parametrize("classes", [LONG, CHINESE, ["one"]], ids=["long", "chinese", "one"])
def test_figures_of_all_names(classes, tmp_path):
    count = len(classes)
    scores = np.linspace(0.2, 1, count)
    drawn(confusion_chart(np.eye(count, dtype=int), classes, f"of {classes[0]}"), tmp_path)
    drawn(class_scores_chart(classes, scores, scores, scores), tmp_path)
    images = np.zeros((2 * count, 8, 8, 1))
    points = np.random.default_rng(0).normal(size=(2 * count, 2))
    drawn(embedding_chart(points, np.arange(2 * count) % count, classes, images, "t"), tmp_path)
    drawn(gallery(images[:2], [[classes[0]], [classes[-1]]], classes[0]), tmp_path)
    drawn(image_grid(images[None, :2], [classes[0]], ["a", "b"]), tmp_path)


def test_the_matrix_of_long_names_keeps_its_size(tmp_path):
    figure = drawn(confusion_chart(np.eye(40, dtype=int), LONG, "t"), tmp_path)
    box = figure.axes[0].get_window_extent()
    assert box.width > 0.5 * figure.bbox.width


def test_equal_embeddings_are_drawn(tmp_path):
    images = np.zeros((4, 8, 8, 1))
    drawn(embedding_chart(np.zeros((4, 2)), np.zeros(4, int), ["a"], images, "t"), tmp_path)


def test_characters_without_a_glyph_are_escaped(monkeypatch):
    monkeypatch.setattr(labels, "_characters", lambda: frozenset(map(ord, "abc\u00e9")))
    assert with_known_glyphs("a\u00e9\u82b1") == "a\u00e9\\u82b1"
    assert with_known_glyphs("plain") == "plain"


def test_long_names_are_shortened_in_the_middle():
    assert len(class_label(LONG[7])) == WIDEST
    assert class_label(LONG[7]).endswith("birds, number 7")
    assert class_label("bird") == "bird"


def test_names_that_are_shortened_to_the_same_get_their_numbers():
    same_ends = [f"a very long name of a class, number {k}, of birds of Europe" for k in range(3)]
    found = class_labels(same_ends)
    assert [label[:2] for label in found] == ["0:", "1:", "2:"]
    assert all(len(label) <= WIDEST for label in found)
    assert class_labels(["cat", "dog"]) == ["cat", "dog"]


def test_captions_have_room_for_escapes_and_wide_characters(monkeypatch):
    monkeypatch.setattr(labels, "_characters", lambda: frozenset(range(128)))
    escaped = shortened(CHINESE[1] * 4, inches=1)
    assert escaped.startswith(r"\u")
    monkeypatch.setattr(labels, "_characters", lambda: frozenset(range(2**16)))
    wide = shortened(CHINESE[1] * 4, inches=1)
    assert cell_len(escaped) <= cell_len("x" * 20)
    assert len(wide) < len(escaped)


def test_a_font_without_a_normal_weight_is_used_without_a_warning(caplog):
    labels.font_families()
    logger = logging.getLogger("matplotlib.font_manager")
    logger.warning("findfont: Failed to find font weight normal for X, now using 500.")
    logger.warning("another warning")
    assert [record.getMessage() for record in caplog.records] == ["another warning"]


def test_a_font_that_was_installed_later_is_found(monkeypatch):
    """Matplotlib writes its list of fonts once; a font that was installed later is not in it."""
    manager = labels.font_manager.fontManager
    (file,) = {font.fname for font in manager.ttflist if font.name == "DejaVu Serif Display"}
    others = [font for font in manager.ttflist if font.fname != file]
    monkeypatch.setattr(manager, "ttflist", others)
    monkeypatch.setattr(labels.font_manager, "findSystemFonts", lambda: [file, "missing.ttf"])
    labels._add_new_fonts()
    assert [font.name for font in manager.ttflist if font.fname == file] == ["DejaVu Serif Display"]

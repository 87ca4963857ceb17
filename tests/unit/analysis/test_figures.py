"""Figures of images, read back from their axes."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from vgg_lit.analysis.figures import (
    activation_maps,
    attribution_rows,
    filter_grid,
    gallery,
    image_grid,
    image_rows,
    receptive_field_chart,
)


@pytest.mark.parametrize("channels", [1, 3])
def test_image_grid_shows_each_image_in_its_cell(channels):
    images = np.random.default_rng(0).random((2, 3, 5, 5, channels))
    figure = image_grid(images, ["cat", "dog"], ["a", "b", "c"])
    axes = np.array(figure.axes).reshape(2, 3)
    for row in range(2):
        for column in range(3):
            (shown,) = axes[row, column].get_images()
            expected = images[row, column, ..., 0] if channels == 1 else images[row, column]
            np.testing.assert_array_equal(shown.get_array(), expected)
            assert shown.get_clim() == (0, 1)
    assert [ax.get_title() for ax in axes[0]] == ["a", "b", "c"]
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["cat", "dog"]
    assert not axes[1, 1].get_title()
    assert not axes[1, 1].get_xlabel()


def test_image_grid_has_room_for_captions():
    images = np.zeros((2, 2, 4, 4, 1))
    captions = [["", "cat 0.7\ndog 0.3"], ["", "dog 1.0"]]
    figure = image_grid(images, ["cat", "dog"], ["a", "b"], captions)
    assert [ax.get_xlabel() for ax in figure.axes] == [text for row in captions for text in row]
    plain = image_grid(images, ["cat", "dog"], ["a", "b"])
    assert figure.get_size_inches()[1] > plain.get_size_inches()[1]
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    pixels = np.asarray(Image.open(file).convert("L"))
    assert pixels.min() < 50 < 200 < pixels.max()


def test_figures_import_neither_pyplot_nor_torch():
    code = (
        "import sys, numpy as np, vgg_lit.analysis.figures as f;"
        "f.image_grid(np.zeros((1, 1, 2, 2, 1)), ['a'], ['b']);"
        "sys.exit('matplotlib.pyplot' in sys.modules or 'torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


CLASSES = ["a class with a very long name", "→ another with a long one", "100 %"]


def images_of(figure):
    return [image.get_array() for image in figure.axes[0].images]


@pytest.mark.parametrize("depth", [1, 3])
def test_a_gallery_shows_images_unchanged_and_captions_without_overlap(
    depth, texts_that_overlap, texts_outside
):
    images = np.random.default_rng(0).random((11, 6, 6, depth))
    figure = gallery(images, [CLASSES] * 11, "title")
    for shown, image in zip(images_of(figure), images, strict=True):
        np.testing.assert_array_equal(shown, image if depth == 3 else image[..., 0])
    assert texts_that_overlap(figure) == []
    assert texts_outside(figure) == []


def test_image_rows_have_labels_without_overlap(texts_that_overlap):
    images = np.random.default_rng(0).random((5, 6, 6, 1))
    captions = ["99 %\nimage_1234.png"] * 5
    rows = [(CLASSES, images, captions), (CLASSES, images[:2], ["7 %"] * 2)]
    figure = image_rows(rows, "title")
    assert len(images_of(figure)) == 7
    assert texts_that_overlap(figure) == []


def test_a_figure_without_images_has_a_note():
    for figure in (gallery(np.empty((0, 4, 4, 1)), [], "title"), image_rows([], "title")):
        assert "No images." in [text.get_text() for text in figure.axes[0].texts]


def test_filters_share_a_scale_and_grey_is_zero():
    weights = np.zeros((2, 3, 3, 3))
    weights[0, 0], weights[1, 2] = 2.0, -1.0
    red, blue = images_of(filter_grid(weights, "title"))
    np.testing.assert_allclose(red[0, 0], [1, 0.5, 0.5])
    np.testing.assert_allclose(blue[0, 0], [0.5, 0.5, 0.25])
    grey = filter_grid(weights[:, :1], "title").axes[0].images[0]
    np.testing.assert_array_equal(grey.get_array(), weights[0, 0])
    assert grey.get_clim() == (-2, 2)


def test_activation_maps_are_sorted_by_strength(texts_that_overlap):
    maps = np.stack([np.full((4, 4), value) for value in (0.1, 3.0, 1.0)])
    figure = activation_maps(np.zeros((8, 8, 1)), {"block1_relu1": maps, "b": -maps}, "title")
    shown = [float(image.max()) for image in images_of(figure)[1:]]
    assert shown == [3.0, 1.0, 0.1, -3.0, -1.0, -0.1]
    clims = [image.get_clim() for image in figure.axes[0].images[1:]]
    assert clims == [(0, 3)] * 3 + [(-3, 3)] * 3
    assert texts_that_overlap(figure) == []


def test_attributions_are_drawn_alone_and_over_the_image(texts_that_overlap):
    images, heat = np.random.default_rng(0).random((2, 6, 6, 3)), np.ones((2, 6, 6))
    figure = attribution_rows(images, [CLASSES] * 2, {"one": heat, "two": -heat}, "title")
    assert len(images_of(figure)) == 2 * (1 + 3 + 3)
    assert texts_that_overlap(figure) == []


def test_a_receptive_field_is_drawn_at_its_position(texts_that_overlap):
    figure = receptive_field_chart(np.zeros((8, 8, 1)), {"a": (4.0, 3.0), "b": (4.0, 30.0)}, "t")
    boxes = [axes.patches[0].get_bbox().bounds for axes in figure.axes[:2]]
    assert boxes == [(2.5, 2.5, 3, 3), (-11, -11, 30, 30)]
    assert figure.axes[1].get_xlim()[0] < -11
    assert texts_that_overlap(figure) == []

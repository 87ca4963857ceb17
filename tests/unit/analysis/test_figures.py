"""What the figures hold, read back from their axes."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from vgg_lit.analysis.figures import image_grid


@pytest.mark.parametrize("channels", [1, 3])
def test_image_grid_shows_each_image_in_its_place(channels):
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


def test_figures_need_no_display_and_leave_no_global_state():
    code = (
        "import sys, numpy as np, vgg_lit.analysis.figures as f;"
        "f.image_grid(np.zeros((1, 1, 2, 2, 1)), ['a'], ['b']);"
        "sys.exit('matplotlib.pyplot' in sys.modules or 'torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

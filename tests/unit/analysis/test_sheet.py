"""Images and texts of a sheet are drawn at their positions in inches."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from vgg_lit.analysis.sheet import CHARACTERS_PER_INCH, MARGIN, ImageSheet, shortened

DPI = 100


def pixels(sheet):
    """Returns the drawn pixels as integers."""
    sheet.figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(sheet.figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)


def test_an_image_covers_exactly_its_square():
    sheet = ImageSheet(width=4, height=2, title="")
    sheet.image(np.zeros((5, 5, 1)), left=1, top=0.5, side=1)
    dark = pixels(sheet).max(axis=2) < 50
    rows, columns = dark.any(axis=1).nonzero()[0], dark.any(axis=0).nonzero()[0]
    assert len(rows) == pytest.approx(DPI, abs=1)
    assert len(columns) == pytest.approx(DPI, abs=1)
    assert columns[0] == pytest.approx((1 + MARGIN) * DPI, abs=1)
    bottom = (2 - 1.5 + MARGIN) * DPI  # space below the image
    assert dark.shape[0] - 1 - rows[-1] == pytest.approx(bottom, abs=1)
    assert dark.sum() == pytest.approx(DPI**2, rel=0.03)


def test_a_pixel_of_an_image_has_its_colour():
    image = np.zeros((2, 2, 3))
    image[0, 1] = 1, 0.5, 0
    sheet = ImageSheet(width=1, height=1, title="")
    sheet.image(image, left=0, top=0, side=1)
    drawn = pixels(sheet)
    row, column = drawn.shape[0] - int((0.75 + MARGIN) * DPI), int((0.75 + MARGIN) * DPI)
    assert drawn[row, column].tolist() == pytest.approx([255, 127, 0], abs=1)


def test_limits_are_the_darkest_and_the_lightest_value():
    sheet = ImageSheet(width=1, height=1, title="")
    sheet.image(np.full((2, 2), 3.0), left=0, top=0, side=1, limits=(3, 5))
    assert pixels(sheet)[60, 60].max() == 0


def test_a_longer_title_makes_the_figure_higher():
    one, two = (ImageSheet(2, 1, title) for title in ("a title", "a title\nof two lines"))
    assert one.figure.get_figwidth() == two.figure.get_figwidth()
    assert one.figure.get_figheight() < two.figure.get_figheight()


def test_long_lines_are_cut_to_the_width():
    assert shortened("short", 1) == "short"
    cut = shortened("m" * 100 + "1", 2)
    assert len(cut) == 2 * CHARACTERS_PER_INCH
    assert "…" in cut
    assert cut.endswith("m1")

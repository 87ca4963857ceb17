"""Layout checks shared by the tests of figures: overlapping and cut-off texts."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text


def drawn_texts(figure):
    """Returns visible texts with their boxes in pixels, after layout."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    unseen = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        for label in (tick.label1, tick.label2)
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    texts = {t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()} - unseen
    # the box of a slanted text is larger than the text
    upright = [text for text in texts if text.get_rotation() % 90 == 0]
    return [(t.get_text(), t.get_window_extent(canvas.get_renderer())) for t in upright]


@pytest.fixture
def texts_that_overlap():
    """`texts_that_overlap(figure)`: pairs of texts whose boxes overlap by more than an edge."""

    def overlapping(figure):
        texts = [(text, box.padded(-1)) for text, box in drawn_texts(figure)]
        return [
            (text, other)
            for i, (text, box) in enumerate(texts)
            for other, other_box in texts[:i]
            if box.overlaps(other_box)
        ]

    return overlapping


@pytest.fixture
def texts_outside():
    """`texts_outside(figure)`: texts cut off at the edge of the figure."""

    def outside(figure):
        texts = drawn_texts(figure)
        width, height = figure.bbox.width + 1, figure.bbox.height + 1
        return [t for t, b in texts if min(b.x0, b.y0) < -1 or b.x1 > width or b.y1 > height]

    return outside

"""Colours are distinguishable with every kind of colour vision."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from vgg_lit.analysis import labels, style

# Machado, Oliveira & Fernandes 2009, "A physiologically-based model for simulation of color vision
# deficiency", the matrices of severity 1 on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(colour, vision):
    """Returns CIE L*a*b* of a colour as perceived with a kind of colour vision."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(VISION[vision]) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.maximum(np.array(to_xyz) @ seen / [0.9505, 1, 1.089], 1e-6))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISION)
def test_colours_of_lines_and_classes_are_distinguishable(vision):
    for colours, least in ((style.COLOURS, 10), (style.CLASS_COLOURS, 5)):
        for pair in combinations(colours, 2):
            one, other = (lab(colour, vision) for colour in pair)
            assert np.linalg.norm(one - other) > least, pair


@pytest.mark.parametrize("vision", VISION)
def test_paired_colours_and_ends_of_a_scale_are_far_apart(vision):
    ends = [colormaps[style.DIVERGING](value)[:3] for value in (0.05, 0.95)]
    for pair in ((style.TRAIN, style.VALIDATION), (style.RIGHT, style.WRONG), ends):
        one, other = (lab(colour, vision) for colour in pair)
        assert np.linalg.norm(one - other) > 30, pair


def test_larger_values_are_lighter_on_the_sequential_scale():
    lightness = [
        lab(colormaps[style.SEQUENTIAL](value)[:3], "normal")[0] for value in (0.0, 0.3, 0.6, 1.0)
    ]
    assert lightness == sorted(lightness)
    assert lightness[-1] - lightness[0] > 60


def test_text_is_at_least_12_pixels_high():
    pixels = {size: size / 72 * style.DPI for size in (style.SMALL, style.TEXT)}
    assert min(pixels.values()) >= 12


def test_a_label_of_characters_without_a_glyph_is_no_wider(monkeypatch):
    monkeypatch.setattr(labels, "_characters", lambda: frozenset(range(128)) | {ord("…")})
    label = style.class_label("\u4e2d" * 14)
    assert label.startswith(r"\u4e2d")
    assert len(label) == style.WIDEST


@pytest.mark.parametrize(
    ("ticks", "texts"),
    [
        ([0.5, 0.6, 0.7], ["50 %", "60 %", "70 %"]),
        ([0.7, 0.725, 0.75], ["70.0 %", "72.5 %", "75.0 %"]),
        ([0.9990, 0.99925, 0.9995], ["99.900 %", "99.925 %", "99.950 %"]),
        ([-0.1, -1e-17, 0.1], ["\N{MINUS SIGN}10 %", "0 %", "10 %"]),
    ],
)
def test_percentages_have_the_decimals_that_the_ticks_need(ticks, texts):
    figure = Figure()
    axis = figure.subplots().yaxis
    style.show_percent(axis)
    assert axis.get_major_formatter().format_ticks(ticks) == texts


@pytest.mark.parametrize(
    ("epochs", "ticks"), [([1], [1]), ([1, 2], [1, 2]), ([5, 6, 7], [5, 6, 7])]
)
def test_the_ticks_of_few_epochs_are_integers(epochs, ticks):
    axes = Figure().add_subplot()
    axes.plot(epochs, epochs, marker="o")
    style.show_integers(axes.xaxis)
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == ticks

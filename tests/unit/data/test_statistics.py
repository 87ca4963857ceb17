import pytest
import torch

from vgg_lit.data import statistics
from vgg_lit.data.statistics import channel_statistics, pixel_counts


def test_against_float64(monkeypatch):
    monkeypatch.setattr(statistics, "_CHUNK", 7)  # chunks add up
    images = torch.randint(0, 256, (50, 3, 8, 8), dtype=torch.uint8)
    mean, std = channel_statistics(pixel_counts(images))
    pixels = images.double() / 255
    assert mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), abs=1e-14)
    assert std == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist(), abs=1e-14)


def test_a_constant_channel_has_a_usable_deviation():
    mean, std = channel_statistics(pixel_counts(torch.full((4, 1, 2, 2), 51, dtype=torch.uint8)))
    assert mean == (0.2,)
    assert std == (1.0,)

"""The loss of a picture, and its descent."""

import torch

from vgg_lit.analysis.style_transfer import descend


def test_pixels_stay_in_range_and_the_input_is_unchanged():
    start = torch.full((1, 1, 4, 4), 0.5)
    picture, first, last = descend(start, lambda x: (x - 2).square().sum(), steps=80, lr=0.1)
    assert (start == 0.5).all()
    assert (picture == 1).all()
    assert (first, last) == (16 * 1.5**2, 16.0)
    assert not picture.requires_grad

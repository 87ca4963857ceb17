"""The filters of the whitening layer, and their outputs on the patches they were measured on."""

import torch
from torch.nn import functional as F

from vgg_lit.models import build
from vgg_lit.models.whitening import whiten, whitening_filters, whitens


def images(count=64, channels=3, side=16):
    """Smooth images, whose neighbouring pixels are correlated, in correlated channels."""
    draws = torch.Generator().manual_seed(0)
    x = F.avg_pool2d(torch.randn(count, channels, side + 4, side + 4, generator=draws), 5, 1)
    return x + 0.5 * x[:, :1] + 0.3


def test_outputs_are_uncorrelated_and_of_variance_1():
    x = images().double()
    filters = whitening_filters([x], 2, eps=0.0)
    assert filters.shape == (24, 3, 2, 2)
    outputs = F.conv2d(x, filters).movedim(1, 0).flatten(1)
    torch.testing.assert_close(torch.cov(outputs[:12], correction=0), torch.eye(12).double())
    torch.testing.assert_close(outputs[12:], -outputs[:12])


def test_eps_bounds_what_a_direction_without_variance_is_multiplied_by():
    flat = images(channels=1).repeat(1, 2, 1, 1)  # the difference of the channels is 0
    filters = whitening_filters([flat], 1, eps=5e-4)
    norms = filters.flatten(1).norm(dim=1)
    torch.testing.assert_close(norms[1].item(), 5e-4**-0.5, rtol=1e-3, atol=0)


def test_batches_make_no_difference():
    x = images()
    torch.testing.assert_close(
        whitening_filters([x], 3), whitening_filters(x.split(10), 3), rtol=1e-8, atol=1e-8
    )


def test_whiten_sets_the_first_layer_alone():
    net = build([[4]], num_classes=2, image_size=16, head="gap", whitening=2)
    before = net.layer("block1_conv1").weight.clone()
    assert whitens(net)
    whiten(net, [images()])
    torch.testing.assert_close(net.layer("whiten").weight, whitening_filters([images()], 2).float())
    assert torch.equal(net.layer("block1_conv1").weight, before)
    assert not whitens(build([[4]], image_size=16, head="gap"))
    assert not whitens(torch.nn.Linear(1, 1))

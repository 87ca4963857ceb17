"""Grad-CAM and integrated gradients have their defining properties."""

import pytest
import torch
from torch import nn

from vgg_lit.errors import InputError
from vgg_lit.models import build

pytest.importorskip("captum")

from vgg_lit.analysis.attributions import grad_cam, grad_cam_layer, integrated_gradients
from vgg_lit.analysis.features import extract


@pytest.fixture
def net():
    torch.manual_seed(0)
    return build([[4], [8, 8]], num_classes=3, head="linear", image_size=8, in_channels=1).eval()


@pytest.fixture
def x():
    return torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))


CLASSES = torch.tensor([2, 0])


def test_integrated_gradients_add_up_to_the_difference_of_the_logits(net, x):
    black = torch.zeros(1, 1, 8, 8)
    heat = integrated_gradients(net, x, CLASSES, black, steps=300)
    with torch.no_grad():
        logits, at_black = net(x), net(black)
    difference = logits[[0, 1], CLASSES] - at_black[0, CLASSES]
    torch.testing.assert_close(heat.sum(dim=(1, 2)), difference, rtol=0.01, atol=1e-4)


def test_grad_cam_weighs_maps_by_their_mean_gradient(net, x):
    layer = "block2_relu2"
    maps = extract(net, x, [layer])[layer].detach().requires_grad_()
    pooled = torch.nn.functional.max_pool2d(maps, 2).flatten(1)
    net.classifier(pooled)[[0, 1], CLASSES].sum().backward()
    weights = maps.grad.mean(dim=(2, 3), keepdim=True)
    expected = (weights * maps).sum(dim=1, keepdim=True).relu().detach()
    expected = torch.nn.functional.interpolate(expected, (8, 8), mode="bilinear")[:, 0]
    torch.testing.assert_close(grad_cam(net, x, CLASSES, layer), expected)
    assert expected.max() > 0


def test_grad_cam_layer_is_the_deepest_of_seven_pixels(x):
    plan = [[4], [8], [8], [8]]
    deep = build(plan, num_classes=3, head="linear", image_size=32, in_channels=1)
    assert grad_cam_layer(deep, torch.zeros(1, 1, 32, 32)) == "block3_relu1"  # 8 x 8, then 4 x 4
    shrinking = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 7), torch.nn.Conv2d(2, 2, 2))
    assert grad_cam_layer(shrinking, x) == "0"  # none is that large: 2 x 2, then one position


def test_attributions_do_not_change_gradients_or_relus(net, x):
    grad_cam(net, x, CLASSES, "block2_relu2")
    integrated_gradients(net, x, CLASSES, torch.zeros(1, 1, 8, 8), steps=2)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert net.layer("block1_relu1").inplace


def test_a_network_without_a_convolution_has_no_layer_for_grad_cam(x):
    with pytest.raises(InputError, match="a convolution"):
        grad_cam_layer(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), x)

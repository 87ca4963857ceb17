"""The convolution before a pool: the same pooled maps and gradients with fewer outputs."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vgg_lit.models import build
from vgg_lit.models.pooled_conv import PooledConv2d


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("sides", [(8, 8), (7, 7), (7, 10), (6, 9), (3, 3)])
def test_pooled_maps_and_gradients_are_those_of_the_whole_convolution(kernel, sides):
    torch.manual_seed(0)
    conv = PooledConv2d(3, 5, kernel, padding=kernel // 2)
    whole = nn.Conv2d(3, 5, kernel, padding=kernel // 2)
    whole.load_state_dict(conv.state_dict())
    found, expected = [], []
    for layer, results in ((conv, found), (whole, expected)):
        x = torch.randn(2, 3, *sides, generator=torch.Generator().manual_seed(1)).requires_grad_()
        maps = F.max_pool2d(layer(x), 2)
        maps.square().sum().backward()
        results += [maps.detach(), x.grad, layer.weight.grad, layer.bias.grad]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_an_odd_last_row_and_column_are_left_out():
    conv = PooledConv2d(3, 5, 3, padding=1)
    assert conv(torch.zeros(1, 3, 7, 10)).shape == (1, 5, 6, 10)


def test_a_network_has_one_where_a_pool_follows_a_convolution_on_a_map_with_an_odd_side():
    net = build([[4, 4], [8]], image_size=14, head="linear", pool_first=True)
    kinds = [type(m) for m in net.features if isinstance(m, nn.Conv2d)]
    assert kinds == [nn.Conv2d, nn.Conv2d, PooledConv2d]
    plain = build([[4, 4], [8]], image_size=14, head="linear")
    assert not any(isinstance(m, PooledConv2d) for m in plain.modules())

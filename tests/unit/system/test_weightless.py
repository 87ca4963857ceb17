"""Building networks without weights, for any size and device in the config."""

import pytest
import torch
from torch import nn

from vgg_lit.models import vgg11
from vgg_lit.system.weightless import MOST_OPERATIONS, weightless


def test_a_network_has_only_shapes():
    with weightless():
        net = vgg11()
    assert {parameter.device.type for parameter in net.parameters()} == {"meta"}
    assert net(torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 1000)


def test_a_device_argument_is_overridden():
    with weightless():
        layer = nn.Linear(2**40, 1, device="cpu")
    assert layer.weight.is_meta


def test_too_many_operations_are_refused():
    with (
        pytest.raises(RuntimeError, match=f"more than {MOST_OPERATIONS:,} operations"),
        weightless(),
    ):
        nn.ParameterList(nn.Linear(1, 1).weight for _ in range(10**9))


def test_maps_above_the_largest_size_are_refused():
    image = torch.empty(1, 1, 100, 100, device="meta")
    net = nn.Upsample(scale_factor=1000)
    with (
        pytest.raises(RuntimeError, match=r"needs a tensor of 37\.3 GiB for one image"),
        weightless(2**30),
    ):
        net(image)

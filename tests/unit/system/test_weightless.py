"""A network is built without weights, however large its config says it is and wherever it would have them."""

import pytest
import torch
from torch import nn

from vgg_lit.models import vgg11
from vgg_lit.system.weightless import MOST_OPERATIONS, weightless


def test_a_network_has_shapes_alone():
    with weightless():
        net = vgg11()
    assert {parameter.device.type for parameter in net.parameters()} == {"meta"}
    assert net(torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 1000)


def test_a_device_among_the_arguments_changes_nothing():
    with weightless():
        layer = nn.Linear(2**40, 1, device="cpu")
    assert layer.weight.is_meta


def test_layers_without_end_are_refused():
    with (
        pytest.raises(RuntimeError, match=f"more than {MOST_OPERATIONS:,} operations"),
        weightless(),
    ):
        nn.ParameterList(nn.Linear(1, 1).weight for _ in range(10**9))


def test_a_map_may_have_a_largest_size():
    image = torch.empty(1, 1, 100, 100, device="meta")
    net = nn.Upsample(scale_factor=1000)
    with pytest.raises(RuntimeError, match=r"makes 37\.3 GiB of one image"), weightless(2**30):
        net(image)

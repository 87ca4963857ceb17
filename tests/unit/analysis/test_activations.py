"""Maps of layers by the paper's names, embeddings and attributions of small networks."""

import copy

import pytest
import torch
from torch import nn

from vgg_lit.analysis.activations import activations, convolutions, representative_layers
from vgg_lit.analysis.embeddings import embed
from vgg_lit.errors import InputError
from vgg_lit.models import build

OWN = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 30 * 30, 5))


@pytest.fixture
def net():
    return build("vgg11_bn", num_classes=7, head="cifar", width=0.0625)


@pytest.fixture
def x():
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("batch_norm", [True, False])
def test_maps_are_those_of_a_hook_even_before_a_relu_in_place(batch_norm, x):
    net = build([[4], [6, 8]], num_classes=3, head="gap", batch_norm=batch_norm).eval()
    found = activations(net, x, ["block1_conv1", "block2_relu2", "block2_pool"])
    expected = net.layer("block1_conv1")(x)
    torch.testing.assert_close(found["block1_conv1"], expected, rtol=0, atol=0)
    assert found["block1_conv1"].min() < 0 <= found["block2_relu2"].min()
    pooled = nn.functional.max_pool2d(found["block2_relu2"], 2)
    torch.testing.assert_close(found["block2_pool"], pooled, rtol=0, atol=0)


def test_the_network_is_left_as_it_was(net, x):
    net.train()
    net.features[0].eval()
    before, modes = copy.deepcopy(net.state_dict()), [m.training for m in net.modules()]
    activations(net, x, ["block1_conv1"])
    embed(net, x)
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_an_unknown_layer_names_near_ones(net, x):
    with pytest.raises(
        InputError, match=r"unknown layer 'block1_con1'\. Did you mean 'block1_conv1'"
    ):
        activations(net, x, ["block1_con1"])


def test_representative_layers(net):
    assert representative_layers(net) == [f"block{number}_conv1" for number in range(1, 6)]
    assert list(convolutions(net))[:2] == ["block1_conv1", "block2_conv1"]
    assert representative_layers(OWN) == ["0"]


def test_the_last_layer_makes_the_logits_of_the_embedding(net, x):
    net.eval()
    features = embed(net, x)
    torch.testing.assert_close(net.layer("fc8")(features), net(x))
    assert embed(OWN, x).shape == (3, 3600)

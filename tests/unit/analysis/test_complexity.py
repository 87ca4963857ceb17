"""What a network costs."""

import pytest
import torch

from vgg_lit.analysis.complexity import training_operations
from vgg_lit.models import build
from vgg_lit.models.gemm_conv import lower_small_maps


def test_operations_of_a_plain_net_are_those_counted_by_hand():
    net = build([[4], [8]], num_classes=3, in_channels=1, image_size=8, head="linear")
    forward = 2 * 9 * (1 * 4 * 64 + 4 * 8 * 16) + 2 * 8 * 4 * 3
    first = 2 * 9 * 1 * 4 * 64  # whose input, an image, has no gradient
    assert training_operations(net, (1, 8, 8)) == 3 * forward - first


@pytest.mark.parametrize("mode", [False, "auto", True])
def test_the_count_does_not_depend_on_the_form_a_layer_takes(mode):
    net = build("vgg11_bn", num_classes=3, in_channels=3, head="linear", width=0.1)
    plain = training_operations(net, (3, 32, 32))
    lower_small_maps(net, mode)
    assert training_operations(net, (3, 32, 32)) == plain > 0


def test_counting_changes_neither_the_net_nor_the_random_state():
    net = build("vgg11_bn", num_classes=3, in_channels=3, head="cifar", width=0.1).eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = torch.get_rng_state()
    training_operations(net, (3, 32, 32))
    assert torch.equal(torch.get_rng_state(), state)
    assert not net.training
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in before.items())

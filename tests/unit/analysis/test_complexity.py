"""Parameters, MACs, operations and memory of networks."""

import pytest
import torch
from torch import nn

from vgg_lit import models
from vgg_lit.analysis.complexity import BETWEEN, PRECISIONS, measure, training_operations
from vgg_lit.config.schema import Trainer
from vgg_lit.errors import InputError
from vgg_lit.models import VARIANTS, build
from vgg_lit.models.gemm_conv import lower_small_maps


def test_operations_of_a_plain_net_match_a_count_by_hand():
    net = build([[4], [8]], num_classes=3, in_channels=1, image_size=8, head="linear")
    forward = 2 * 9 * (1 * 4 * 64 + 4 * 8 * 16) + 2 * 8 * 4 * 3
    first = 2 * 9 * 1 * 4 * 64  # its input, the image, has no gradient
    assert training_operations(net, (1, 8, 8)) == 3 * forward - first


@pytest.mark.parametrize("mode", [False, "auto", True])
def test_the_count_does_not_depend_on_lowered_convolutions(mode):
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


def by_name(cost):
    return {layer.name: layer for layer in cost.layers}


def macs_by_hand(net, side):
    """Returns the MACs of a VGG: output positions x convolution weights, plus linear weights."""
    macs = 0
    for module in (*net.features, *net.classifier):
        if isinstance(module, torch.nn.Conv2d):
            macs += side**2 * module.weight.numel()
        elif isinstance(module, torch.nn.MaxPool2d):
            side //= 2
        elif isinstance(module, torch.nn.Linear):
            macs += module.weight.numel()
    return macs


@pytest.mark.parametrize("variant", VARIANTS)
def test_parameters_and_macs_of_every_variant_match_a_count_by_hand(variant):
    with torch.device("meta"):
        net = build(variant)
    cost = measure(net, (3, 224, 224), batch_size=2)
    assert sum(layer.macs for layer in cost.layers) == macs_by_hand(net, 224)
    assert sum(layer.parameters for layer in cost.layers) == sum(
        p.numel() for p in net.parameters()
    )
    assert [layer.name for layer in cost.layers] == list(net.layer_paths)


def test_vgg16_matches_its_published_costs():
    with torch.device("meta"):
        cost = measure(build("vgg16"), (3, 224, 224))
    assert sum(layer.macs for layer in cost.layers) == 15_470_264_320
    assert sum(layer.parameters for layer in cost.layers) == 138_357_544
    conv = [layer for layer in cost.layers if layer.kind == "Conv2d"]
    assert sum(layer.parameters for layer in conv) == 14_714_688
    layers = by_name(cost)
    assert layers["block3_pool"].output_shape == (256, 28, 28)
    assert layers["fc6"].macs == 25088 * 4096
    assert layers["fc6"].block == "head"
    assert layers["block1_conv2"].kept == 0  # its input is already saved as the output of the ReLU
    assert layers["block1_relu1"].kept == 4 * 64 * 224 * 224
    assert layers["block2_conv1"].field == (10, 2)


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b0"])
def test_other_networks_are_counted_by_module(name):
    with torch.device("meta"):
        net = getattr(models, name)()
    cost = measure(net, (3, 224, 224), batch_size=2)
    assert sum(layer.parameters for layer in cost.layers) == sum(
        p.numel() for p in net.parameters()
    )
    published = {"resnet50": 4.089e9, "efficientnet_b0": 0.386e9}[name]  # torchvision's figures
    assert sum(layer.macs for layer in cost.layers) == pytest.approx(published, rel=0.001)
    assert all(layer.field is None for layer in cost.layers)
    blocks = {layer.block for layer in cost.layers}
    assert {"resnet50": "layer1.0", "efficientnet_b0": "features.1"}[name] in blocks


def test_measure_does_not_change_the_net():
    net = build("vgg11_bn", num_classes=3, head="cifar", width=0.1).eval()
    lower_small_maps(net)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state, kinds = torch.get_rng_state(), [type(module) for module in net.modules()]
    measure(net, (3, 32, 32), 4, "bf16-mixed")
    assert torch.equal(torch.get_rng_state(), state)
    assert not net.training
    assert [type(module) for module in net.modules()] == kinds
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in before.items())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


def test_the_batch_size_scales_activations_only():
    net = build("vgg11", num_classes=3, head="gap", width=0.1)
    one, eight = (measure(net, (3, 64, 64), batch) for batch in (1, 8))
    assert eight.memory.activations == 8 * one.memory.activations
    assert (
        eight.memory.weights == one.memory.weights == 4 * sum(p.numel() for p in net.parameters())
    )
    assert [layer.macs for layer in eight.layers] == [layer.macs for layer in one.layers]


def test_checkpointed_blocks_keep_only_their_inputs_and_count_macs_once():
    with torch.device("meta"):
        plain, saving = (build("vgg11_bn", checkpoint_blocks=on) for on in (False, True))
    costs = [measure(net, (3, 224, 224), 2) for net in (plain, saving)]
    totals = [sum(layer.macs for layer in cost.layers) for cost in costs]
    assert totals[0] == totals[1]
    layers = by_name(costs[1])
    inputs = [3 * 224**2, 64 * 112**2, 128 * 56**2, 256 * 28**2, 512 * 14**2]
    assert layers[BETWEEN].kept == 2 * 4 * sum(inputs)
    assert costs[1].memory.activations < 0.2 * costs[0].memory.activations
    assert costs[1].memory.training < costs[0].memory.training


@pytest.mark.parametrize(("precision", "size"), [("64-true", 8), ("bf16-true", 2)])
def test_weights_take_the_size_of_their_precision(precision, size):
    net = build("vgg11", num_classes=3, head="gap", width=0.1)
    memory = measure(net, (3, 32, 32), 2, precision).memory
    assert memory.weights == size * sum(p.numel() for p in net.parameters())
    assert memory.weight_copies == 0


def test_frozen_weights_have_no_gradient_and_no_momentum():
    net = build("vgg11", num_classes=3, head="gap", width=0.1)
    net.features.requires_grad_(False)
    memory = measure(net, (3, 32, 32), 2).memory
    assert (
        memory.gradients
        == memory.momentum
        == 4 * sum(p.numel() for p in net.classifier.parameters())
    )
    assert memory.activations < 4 * 2 * 100  # saved by the last layer


def test_a_batch_too_small_to_train_is_refused():
    net = build("vgg11", num_classes=3, head="cifar", width=0.1)
    with pytest.raises(InputError, match=r"batch_size=1: Expected more than 1 value"):
        measure(net, (3, 32, 32), 1)


def test_every_training_precision_is_supported():
    (allowed,) = [field for field in Trainer.model_fields.items() if field[0] == "precision"]
    assert set(PRECISIONS) | {"auto"} == set(allowed[1].annotation.__args__)


class Attending(nn.Module):
    """Parameters and products outside the leaf modules, a layer that returns a tuple, and shared weights."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(8))
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.second.weight = self.first.weight
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.recurrent = nn.GRU(8, 3, batch_first=True)

    def forward(self, x_BCHW):
        x_BNF = self.second(self.first(x_BCHW.flatten(1, 2) * self.scale))
        return self.recurrent(self.attention(x_BNF, x_BNF, x_BNF)[0])[0][:, 0]


def test_costs_outside_layers_are_counted_and_shared_weights_once():
    net = Attending()
    layers = by_name(measure(net, (1, 4, 8), 2))
    assert sum(layer.parameters for layer in layers.values()) == sum(
        p.numel() for p in net.parameters()
    )
    assert (layers["first"].parameters, layers["second"].parameters) == (72, 8)
    attention = sum(p.numel() for p in net.attention.parameters())
    assert layers[BETWEEN].parameters == 8 + attention
    assert (
        layers[BETWEEN].macs >= 4 * 4 * 8 * 8
    )  # the projections of queries, keys, values and output
    assert layers["recurrent"].output_shape == (4, 3)

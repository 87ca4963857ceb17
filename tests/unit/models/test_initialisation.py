"""The statistics of each initialisation scheme."""

import math

import pytest
import torch
from torch import nn

from vgg_lit.errors import InputError
from vgg_lit.models import build
from vgg_lit.models.initialisation import INITS, initialise

PLAN = [[64, 128], [(256, 1)]]  # enough weights in each layer to measure a standard deviation
HEAD = {"hidden": [256], "batch_norm": True}


def net_with(init: str) -> nn.Module:
    torch.manual_seed(0)
    return build(PLAN, head=HEAD, image_size=8, num_classes=100, batch_norm=True, init=init)


def fans(layer: nn.Conv2d | nn.Linear) -> tuple[int, int]:
    """Fan in and fan out, from the shape of the weight."""
    outputs, inputs, *kernel = layer.weight.shape
    return inputs * math.prod(kernel), outputs * math.prod(kernel)


def promised_std(init: str, layer: nn.Conv2d | nn.Linear) -> float:
    fan_in, fan_out = fans(layer)
    is_conv = isinstance(layer, nn.Conv2d)
    return {
        "kaiming": math.sqrt(2 / fan_in),
        "xavier": math.sqrt(2 / (fan_in + fan_out)),
        "paper": math.sqrt(1e-2),
        "pytorch": math.sqrt(1 / (3 * fan_in)),
        "torchvision": math.sqrt(2 / fan_out) if is_conv else 0.01,
    }[init]


@pytest.mark.parametrize("init", [name for name in INITS if name != "dirac"])
def test_every_layer_starts_with_the_expected_standard_deviation(init):
    layers = [m for m in net_with(init).modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(layers) == 5
    for layer in layers:
        weight = layer.weight.detach()
        error = 6 / math.sqrt(2 * weight.numel())  # six standard errors of a measured deviation
        assert weight.std().item() == pytest.approx(promised_std(init, layer), rel=error)
        assert weight.mean().abs() < 6 * weight.std() / math.sqrt(weight.numel())
        assert bool(layer.bias.any()) == (init == "pytorch")


@pytest.mark.parametrize(
    ("init", "normal"),
    [("kaiming", True), ("paper", True), ("torchvision", True), ("xavier", False)],
)
def test_normal_schemes_have_tails_and_xavier_has_bounds(init, normal):
    weight = net_with(init).layer("block1_conv2").weight.detach()
    # A uniform draw is limited to sqrt(3) = 1.73 standard deviations; 70,000 normal ones exceed 3.
    assert (weight.abs().max() / weight.std() > 3).item() == normal


def test_initialise_resets_batch_norm_to_the_identity():
    net = net_with("kaiming")
    for parameter in net.parameters():
        nn.init.constant_(parameter, 7.0)
    net(torch.randn(4, 3, 8, 8))  # moves the running statistics
    initialise(net, "kaiming")
    for name in ("block1_bn2", "fc3_bn"):
        bn = net.layer(name)
        assert (bn.weight == 1).all()
        assert (bn.bias == 0).all()
        assert (bn.running_mean == 0).all()
        assert (bn.running_var == 1).all()


def test_unknown_scheme_is_reported_in_one_line_with_near_matches():
    with pytest.raises(InputError, match=r"'kaimin'\. Did you mean 'kaiming'.*paper, pytorch"):
        initialise(nn.Linear(2, 2), "kaimin")


def test_kaiming_keeps_inputs_apart_in_a_deep_network_without_batch_norm():
    """VGG-19 at 32 pixels: the logits differ by 1.7e-8 with PyTorch's default, by 7e-2 with Kaiming."""
    x_BCHW = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    spread = {}
    for init in ("kaiming", "pytorch"):
        torch.manual_seed(0)
        net = build("vgg19", head="linear", num_classes=10, width=0.25, init=init)
        with torch.no_grad():
            spread[init] = net(x_BCHW).std(dim=0).mean().item()
    assert spread["kaiming"] > 1e-2
    assert spread["pytorch"] < 1e-6

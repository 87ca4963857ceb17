"""Layers by name: the paper's names in a VGG, module paths in other networks."""

import pytest
import torch
from torch import nn

from vgg_lit.errors import InputError
from vgg_lit.models import VARIANTS, build, efficientnet_b0, resnet18
from vgg_lit.models.layers import (
    check_layers,
    convolutions,
    layers_of,
    modules_of,
    named_layers,
    weighted_layers,
)


def meta(builder, *arguments, **options):
    with torch.device("meta"):
        return builder(*arguments, **options)


def test_layers_have_the_paper_s_names_or_their_paths():
    net = meta(build, "vgg16")
    layers = named_layers(net)
    assert list(layers)[:3] == ["block1_conv1", "block1_relu1", "block1_conv2"]
    assert layers["fc8"] is net.classifier[-1]
    assert named_layers(meta(resnet18))["layer1.0.conv1"].kernel_size == (3, 3)
    assert list(convolutions(net))[-1] == "block5_conv3"
    assert len(convolutions(net)) == 13


def test_missing_layers_are_reported_in_one_line_with_near_matches():
    net = meta(build, "vgg16")
    check_layers(net, ["block1_relu1", "fc7_dropout"])
    with pytest.raises(InputError, match=r"'block1_con1'\. Did you mean 'block1_conv1'") as refused:
        check_layers(net, ["block1_conv1", "block1_con1"])
    assert "\n" not in str(refused.value)


def test_batch_norm_belongs_to_the_layer_before_it():
    layers = weighted_layers(meta(build, "vgg11_bn", head="cifar"))
    assert layers["block1_conv1"] == ("features.0", "features.1")
    assert layers["block3_conv2"] == ("features.11", "features.12")
    assert layers["fc6"] == ("classifier.0", "classifier.1")
    assert layers["fc8"] == ("classifier.8",)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_weight_belongs_to_one_layer(name):
    net = meta(build, name, head="cifar")
    paths = [path for paths in weighted_layers(net).values() for path in paths]
    assert len(paths) == len(set(paths))
    inside = [p for path in paths for p in net.get_submodule(path).parameters()]
    assert len(inside) == len(list(net.parameters()))
    convolutions = sum(len(block) for block in VARIANTS[name].plan)
    assert len(weighted_layers(net)) == convolutions + 3


@pytest.mark.parametrize("builder", [resnet18, efficientnet_b0])
def test_every_weight_of_another_network_belongs_to_one_layer(builder):
    net = meta(builder)
    layers = weighted_layers(net)
    inside = [p for path in layers for p in net.get_submodule(path).parameters(recurse=False)]
    assert len(inside) == len(list(net.parameters()))


def test_a_block_resolves_to_its_layers():
    net = meta(build, "vgg16_bn")
    assert layers_of(net, "block3") == ["block3_conv1", "block3_conv2", "block3_conv3"]
    assert layers_of(net, "fc6") == ["fc6"]
    kinds = [type(module) for module in modules_of(net, "block1")]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d] * 2


def test_block_1_does_not_include_block_10():
    net = meta(build, [[4]] * 10, head="gap", image_size=1024)
    assert layers_of(net, "block1") == ["block1_conv1"]
    assert layers_of(net, "block10") == ["block10_conv1"]


def test_a_module_of_another_network_resolves_to_all_its_layers():
    net = meta(resnet18)
    assert layers_of(net, "conv1") == ["conv1"]
    assert layers_of(net, "fc") == ["fc"]
    assert layers_of(net, "layer1.0") == [f"layer1.0.{m}" for m in ("conv1", "bn1", "conv2", "bn2")]
    assert len(layers_of(net, "layer1")) == 8


@pytest.mark.parametrize(
    ("net", "name", "near"),
    [
        (meta(build, "vgg16"), "block6", "Did you mean 'block5'"),
        (meta(build, "vgg16"), "block1_conv3", "Did you mean 'block\\d_conv"),
        (meta(build, "vgg16"), "block1_pool", "Allowed: block1, .* fc8$"),
        (meta(resnet18), "layer5", "Did you mean 'layer"),
    ],
)
def test_an_unknown_name_is_reported_in_one_line_with_near_matches(net, name, near):
    with pytest.raises(InputError, match=near) as refused:
        layers_of(net, name)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500

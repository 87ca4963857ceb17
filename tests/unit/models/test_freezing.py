"""Frozen layers, which training does not change."""

import pytest
import torch
from torch import nn

from vgg_lit.errors import InputError
from vgg_lit.models import build, freeze, resnet18
from vgg_lit.models.freezing import frozen_depth, rest_frozen_norms


def tiny(variant="vgg16_bn"):
    return build(variant, width=1 / 16, head="cifar", num_classes=5)


def test_only_frozen_layers_have_no_gradient():
    net = tiny().train()
    freeze(net, ["block1", "block3_conv2", "fc6"])
    net(torch.randn(4, 3, 32, 32)).sum().backward()
    frozen = [*range(6), 17, 18]  # indices in `features`: block1's pairs and ReLUs, block3_conv2
    for path, parameter in net.named_parameters():
        part, place, _ = path.split(".")
        is_frozen = int(place) in (frozen if part == "features" else [0, 1])
        assert (parameter.grad is None) == is_frozen, path


def test_frozen_batch_norm_does_not_update_its_statistics():
    net = tiny().train()
    freeze(net, ["block1"])
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net(torch.randn(4, 3, 32, 32))
    after = net.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert "features.8.running_mean" in moved  # block2_bn1
    assert not any(name.startswith(("features.1.", "features.4.")) for name in moved)
    assert net.training


def test_rest_frozen_norms_restores_evaluation_mode_after_train():
    net = tiny()
    freeze(net, ["block1"])
    net.train()
    assert net.layer("block1_bn1").training
    rest_frozen_norms(net)
    assert not net.layer("block1_bn1").training
    assert net.layer("block2_bn1").training


def test_dropout_of_a_frozen_layer_stays_active():
    net = tiny().train()
    freeze(net, ["fc6"])
    assert net.layer("fc6_dropout").training


@pytest.mark.parametrize(
    ("names", "last"),
    [
        ([], None),
        (["block2"], None),  # the first layer trains
        (["block1_conv1"], "block1_relu1"),
        (["block1"], "block1_pool"),
        (["block2", "block1"], "block2_pool"),
        (["block1", "block3"], "block1_pool"),
        ([f"block{n}" for n in range(1, 6)], "block5_pool"),
        (["block1", "block2_conv1", "fc6"], "block2_relu1"),
    ],
)
def test_the_frozen_part_ends_before_the_first_layer_that_trains(names, last):
    net = tiny()
    freeze(net, names)
    features = [name for name, path in net.layer_paths.items() if path.startswith("features")]
    assert features[: frozen_depth(net)][-1:] == ([last] if last else [])


def test_other_networks_freeze_by_module():
    net = resnet18(num_classes=3, image_size=32)
    freeze(net, ["conv1", "bn1", "layer1"])
    trainable = {path.split(".")[0] for path, p in net.named_parameters() if p.requires_grad}
    assert trainable == {"layer2", "layer3", "layer4", "fc"}
    rest_frozen_norms(net.train())
    resting = [
        path for path, m in net.named_modules() if isinstance(m, nn.BatchNorm2d) and not m.training
    ]
    assert resting == ["bn1", "layer1.0.bn1", "layer1.0.bn2", "layer1.1.bn1", "layer1.1.bn2"]


def test_an_unknown_layer_is_reported_in_one_line():
    with pytest.raises(InputError, match=r"unknown layer 'blok1'\. Did you mean 'block1'"):
        freeze(tiny(), ["block1", "blok1"])

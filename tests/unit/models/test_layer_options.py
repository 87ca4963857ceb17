"""The options of a plan beyond the paper's: each builds what it says, on any VGG."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vgg_lit.analysis.features import extract
from vgg_lit.analysis.receptive_field import receptive_fields_of
from vgg_lit.errors import InputError
from vgg_lit.models import build
from vgg_lit.models.block_checkpointing import run_blocks
from vgg_lit.models.dense import DenseVGG
from vgg_lit.models.detection import faster_rcnn
from vgg_lit.models.folding import count_batch_norms, fold_batch_norm
from vgg_lit.models.freezing import freeze, rest_frozen_norms

PLAN = [[4, 6], [8], [5, 5]]
FAST = {
    "batch_norm": True,
    "whitening": 2,
    "activation": "gelu",
    "pool_first": True,
    "conv_bias": False,
    "norm_scale": False,
    "norm_eps": 1e-12,
    "norm_momentum": 0.4,
    "init": "dirac",
    "head": {
        "pool": 1,
        "pooling": "max",
        "bias": False,
        "weight_std": 1.0,
        "logit_scale": 1 / 256,
    },
}


def network(**options):
    torch.manual_seed(0)
    return build(PLAN, num_classes=10, image_size=32, **{"head": "linear", **options})


def images(count=4, side=32):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def kinds(net):
    return [type(module) for module in net.features]


def test_the_defaults_are_the_network_without_these_options():
    defaults = {
        "activation": "relu",
        "pool_first": False,
        "conv_bias": True,
        "norm_scale": True,
        "norm_eps": 1e-5,
        "norm_momentum": 0.1,
        "whitening": None,
    }
    plain, spelt = network(batch_norm=True), network(batch_norm=True, **defaults)
    assert repr(plain) == repr(spelt)
    assert torch.equal(plain(images()), spelt(images()))


def test_gelu_takes_the_place_of_each_relu():
    net = network(activation="gelu")
    assert nn.ReLU not in kinds(net)
    assert kinds(net).count(nn.GELU) == 5
    assert isinstance(net.layer("block3_gelu2"), nn.GELU)


def test_the_pool_may_follow_the_first_convolution_of_its_block():
    net = network(batch_norm=True, pool_first=True)
    names = [name for name in net.layer_paths if name.startswith("block1")]
    assert names == [
        *("block1_conv1", "block1_pool", "block1_bn1", "block1_relu1"),
        *("block1_conv2", "block1_bn2", "block1_relu2"),
    ]
    assert kinds(net).count(nn.MaxPool2d) == 3
    assert net.features(images()).shape == (4, 5, 4, 4)


def test_batch_norm_without_a_scale_trains_its_shift_alone():
    net = network(batch_norm=True, norm_scale=False, norm_eps=1e-12, norm_momentum=0.4)
    norm = net.layer("block2_bn1")
    assert (norm.eps, norm.momentum) == (1e-12, 0.4)
    assert not norm.weight.requires_grad
    assert norm.bias.requires_grad
    assert (norm.weight == 1).all()
    net.train()
    rest_frozen_norms(net)
    assert norm.training, "a missing scale does not freeze batch norm"
    freeze(net, ["block2"])
    assert not norm.training


def test_convolutions_may_have_no_bias():
    net = network(batch_norm=True, conv_bias=False)
    assert all(m.bias is None for m in net.features if isinstance(m, nn.Conv2d))


def test_a_whitening_layer_comes_first_and_its_filters_stay():
    net = network(whitening=3)
    assert next(iter(net.layer_paths)) == "whiten"
    assert net.layer("whiten").weight.shape == (54, 3, 3, 3)
    assert not net.layer("whiten").weight.requires_grad
    assert net.layer("whiten").bias.requires_grad
    assert net.layer("block1_conv1").in_channels == 54
    assert net.map_side(32) == 3
    with pytest.raises(InputError, match="the smallest is 10"):
        build(PLAN, image_size=9, head="linear", whitening=3)


def test_a_head_may_take_the_maximum_scale_its_logits_and_have_no_bias():
    net = network(head={"pool": 1, "pooling": "max", "bias": False, "logit_scale": 0.5})
    maps = net.features(images())
    expected = F.linear(maps.amax((2, 3)), net.layer("fc4").weight) / 2
    torch.testing.assert_close(net(images()), expected)
    assert list(net.layer_paths)[-3:] == ["maxpool", "fc4", "logit_scale"]


def test_the_last_layer_may_have_a_standard_deviation_of_its_own():
    wide = build([[512]], image_size=32, head={"pool": 1, "weight_std": 3.0}, num_classes=100)
    assert wide.layer("fc2").weight.std().item() == pytest.approx(3, rel=0.03)


def test_a_dirac_start_hands_its_input_on():
    net = network(init="dirac")
    weight = net.layer("block1_conv1").weight.detach()
    x = images()
    torch.testing.assert_close(F.conv2d(x, weight, padding=1)[:, :3], x)
    assert weight[3].abs().max() <= 1 / 27**0.5, "the others are drawn by PyTorch's default"
    assert not net.layer("block1_conv1").bias.any()


@pytest.mark.parametrize("name", ["fast", "pool_first", "plain"])
def test_folding_keeps_the_function(name):
    options = {"fast": FAST, "pool_first": {"pool_first": True}, "plain": {}}[name]
    net = network(**{"batch_norm": True, **options})
    net.train()(images(8))
    net.eval()
    folded = fold_batch_norm(net)
    assert count_batch_norms(folded) == 0
    torch.testing.assert_close(folded(images()), net(images()), atol=1e-5, rtol=1e-4)


def test_folding_leaves_a_norm_whose_falling_scale_does_not_commute_with_the_pool():
    net = network(batch_norm=True, pool_first=True).eval()
    with torch.no_grad():
        net.layer("block2_bn1").weight[0] = -1
    folded = fold_batch_norm(net)
    assert count_batch_norms(folded) == 1
    torch.testing.assert_close(folded(images()), net(images()), atol=1e-5, rtol=1e-4)


def test_the_dense_form_is_the_plain_network_at_the_training_size():
    net = network(**FAST).eval()
    dense = DenseVGG(net)
    assert dense.smallest_image_size == 25
    torch.testing.assert_close(dense(images()), net(images()))
    assert dense(images(side=48)).shape == (4, 10)


def test_checkpointed_blocks_give_the_same_gradients():
    net = network(**FAST).train()
    again = copy.deepcopy(net)
    net.features(images()).sum().backward()
    run_blocks(again.features, images()).sum().backward()
    for parameter, other in zip(net.parameters(), again.parameters(), strict=True):
        assert (parameter.grad is None) == (other.grad is None)
        assert parameter.grad is None or torch.equal(parameter.grad, other.grad)


def test_a_detector_sees_the_map_behind_the_last_activation():
    net = network(**FAST)
    backbone = faster_rcnn(net, num_classes=2, min_size=32, max_size=32).backbone
    assert isinstance(backbone[-1], nn.GELU)


def test_layers_are_watched_and_have_fields():
    net = network(**FAST).eval()
    assert extract(net, images(), ["block1_pool"])["block1_pool"].shape == (4, 4, 15, 15)
    fields = receptive_fields_of(net, 32)
    assert list(fields) == list(net.layer_paths)
    assert fields["whiten"].side == 2
    assert fields["block1_conv1"].side == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "gelo"}, "unknown activation 'gelo'. Did you mean 'gelu'?"),
        ({"pool_first": 1}, "pool_first=1 is neither true nor false"),
        ({"norm_eps": 0}, "norm_eps=0 is not a positive number"),
        ({"norm_momentum": 1.5}, r"norm_momentum=1.5 is not in \(0, 1\]"),
        ({"norm_scale": False}, "norm_scale=False: the network has no batch norm"),
        ({"whitening": 0}, "whitening=0 is not a whole number of at least 1"),
        ({"whitening": 8}, "whitening=8: allowed: 1 to 7 pixels"),
        ({"head": {"pooling": "max"}}, "head: pooling=max needs pool=1, not pool=None"),
        ({"head": {"pooling": "min"}}, "head: pooling='min'; allowed: avg, max"),
        ({"head": {"logit_scale": 0}}, "head: logit_scale=0 is not a positive number"),
        ({"head": {"weight_std": -1}}, "head: weight_std=-1 is not a positive number"),
        ({"head": {"bias": None}}, "head: bias=None is neither true nor false"),
    ],
)
def test_a_wrong_value_is_named(options, message):
    with pytest.raises(InputError, match=message):
        network(**options)

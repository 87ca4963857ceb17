"""Activation checkpointing: the same results with fewer maps in memory."""

import copy
import shutil

import pytest
import torch
from torch import nn

from vgg_lit.models import build, freeze
from vgg_lit.models.gemm_conv import lower_small_maps


def pair(variant, **options):
    """A network and its checkpointing twin, in training mode."""
    torch.manual_seed(0)
    net = build(variant, width=1 / 8, head="cifar", num_classes=5, **options).train()
    twin = copy.deepcopy(net)
    twin.checkpoint_blocks = True
    return net, twin


def step(net, x_BCHW, autocast=False):
    """Returns logits, gradients, statistics and the next random number after a step."""
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits_BK = net(x_BCHW)
    logits_BK.float().square().sum().backward()
    gradients = [p.grad for p in net.parameters() if p.requires_grad]
    return [logits_BK, *gradients, *net.buffers(), torch.rand(1)]


def assert_same(found, expected):
    assert len(found) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("variant", ["vgg16_bn", "vgg16", "vgg11_lrn", "vgg16_1x1_bn"])
def test_gradients_statistics_and_dropout_are_the_same_to_the_bit(variant, autocast):
    net, twin = pair(variant)
    x_BCHW = torch.randn(8, 3, 32, 32)
    assert_same(step(twin, x_BCHW, autocast), step(net, x_BCHW, autocast))


def test_statistics_are_updated_once_per_batch():
    _, twin = pair("vgg11_bn")
    step(twin, torch.randn(4, 3, 32, 32))
    assert twin.layer("block1_bn1").num_batches_tracked == 1
    step(twin, torch.randn(4, 3, 32, 32))
    assert twin.layer("block1_bn1").num_batches_tracked == 2


def test_lowered_layers_give_the_same_step():
    net, twin = pair("vgg16_bn")
    for each in (net, twin):
        lower_small_maps(each, True)
    x_BCHW = torch.randn(8, 3, 32, 32)
    assert_same(step(twin, x_BCHW), step(net, x_BCHW))


def test_frozen_blocks_give_the_same_step():
    net, twin = pair("vgg13_bn")
    for each in (net, twin):
        freeze(each, ["block1", "block2_conv1"])
    x_BCHW = torch.randn(4, 3, 32, 32)
    assert_same(step(twin, x_BCHW), step(net, x_BCHW))


def test_the_input_may_be_maps_inside_a_block():
    net, twin = pair("vgg16_bn")
    maps = torch.randn(4, 8, 32, 32)
    for each in (net, twin):
        each.first_module = 3  # block1_conv2
    assert_same(step(twin, maps)[0:1], step(net, maps)[0:1])


def kept_bytes(net, x_BCHW):
    """The bytes that autograd keeps of a forward pass, without weights."""
    weights = {p.data_ptr() for p in net.parameters()}
    kept = {}

    def pack(tensor):
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net(x_BCHW)
    return sum(kept.values())


def test_a_step_keeps_a_fraction_of_the_maps():
    net, twin = pair("vgg16_bn")
    x_BCHW = torch.randn(4, 3, 32, 32)
    assert kept_bytes(twin, x_BCHW) < kept_bytes(net, x_BCHW) / 5


@pytest.mark.parametrize("training", [True, False])
def test_maps_are_not_recomputed_without_a_training_backward(training):
    _, twin = pair("vgg11")
    calls = []
    twin.layer("block1_conv1").register_forward_hook(lambda *_: calls.append(1))
    twin.train(training)
    if training:
        with torch.no_grad():
            twin(torch.randn(2, 3, 32, 32))
    else:
        twin(torch.randn(2, 3, 32, 32)).sum().backward()
    assert len(calls) == 1


def test_the_state_dict_does_not_depend_on_checkpointing():
    plain, checkpointing = (
        build("vgg11_bn", width=1 / 16, checkpoint_blocks=c) for c in (False, True)
    )
    assert checkpointing.checkpoint_blocks
    assert plain.state_dict().keys() == checkpointing.state_dict().keys()
    checkpointing.load_state_dict(plain.state_dict())


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("c++"), reason="torch.compile needs a C++ compiler")
def test_compiled_checkpointing_gives_the_same_step():
    net, twin = pair([[8], [8, 8]], batch_norm=True)
    x_BCHW = torch.randn(4, 3, 32, 32)
    for each in (net, twin):
        each.compile()
    torch.testing.assert_close(step(twin, x_BCHW), step(net, x_BCHW), rtol=1e-5, atol=1e-4)
    assert isinstance(twin.layer("block1_bn1"), nn.BatchNorm2d)
    assert twin.layer("block1_bn1").num_batches_tracked == 1

"""The layers of a plan and a head: their order, names and shapes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vgg_lit.models.head_layers import AveragePool, GlobalMaxPool, LogitScale
from vgg_lit.models.layer_options import Layers
from vgg_lit.models.layer_sequence import conv_layers, fc_layers, head_pool
from vgg_lit.models.variants import Head, parse_plan

PLAN = parse_plan([[2, "LRN"], [3, [4, 1]]])


def names(plan=PLAN, batch_norm=False, layers=None, side=8):
    return [name for name, _ in conv_layers(plan, 1, batch_norm, layers or Layers(), side)]


def test_the_papers_order():
    assert names() == [
        *("block1_conv1", "block1_relu1", "block1_lrn1", "block1_pool"),
        *("block2_conv1", "block2_relu1", "block2_conv2", "block2_relu2", "block2_pool"),
    ]


def test_batch_norm_is_between_convolution_and_activation():
    assert names(batch_norm=True)[:5] == [
        *("block1_conv1", "block1_bn1", "block1_relu1", "block1_lrn1", "block1_pool"),
    ]


def test_a_first_pool_and_a_whitening_layer():
    layers = Layers(activation="gelu", pool_first=True, whitening=2)
    assert names(batch_norm=True, layers=layers) == [
        *("whiten", "whiten_gelu"),
        *("block1_conv1", "block1_pool", "block1_bn1", "block1_gelu1", "block1_lrn1"),
        *("block2_conv1", "block2_pool", "block2_bn1", "block2_gelu1"),
        *("block2_conv2", "block2_bn2", "block2_gelu2"),
    ]


@settings(max_examples=12, deadline=None)
@given(
    blocks=st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=2), min_size=1, max_size=3),
    side=st.integers(16, 20),
    options=st.fixed_dictionaries(
        {
            "pool_first": st.booleans(),
            "whitening": st.sampled_from([None, 1, 2]),
            "conv_bias": st.booleans(),
            "norm_scale": st.booleans(),
        }
    ),
)
def test_each_block_halves_the_map(blocks, side, options):
    layers = Layers(**options)
    found = list(conv_layers(parse_plan(blocks), 1, True, layers, side))
    assert len({name for name, _ in found}) == len(found)
    x_BCHW = torch.zeros(2, 1, side, side)
    for _, module in found:
        x_BCHW = module.eval()(x_BCHW)
    expected = (side - layers.margin) // 2 ** len(blocks)
    assert x_BCHW.shape == (2, blocks[-1][-1], expected, expected)
    convs = [m for name, m in found if "conv" in name]
    assert all((m.bias is not None) == options["conv_bias"] for m in convs)
    norms = [m for _, m in found if isinstance(m, nn.BatchNorm2d)]
    assert {m.weight.requires_grad for m in norms} == {options["norm_scale"]}


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (Head(), nn.Identity),
        (Head(pool=7), AveragePool),
        (Head(pool=1, pooling="max"), GlobalMaxPool),
    ],
)
def test_the_pool_of_a_head(head, kind):
    assert type(head_pool(head)) is kind


def test_layers_of_a_head_are_numbered_from_the_first():
    head = Head(hidden=(5, 4), batch_norm=True, dropout=0.5)
    found = dict(fc_layers(6, head, 3, first=6))
    assert list(found) == [
        *("fc6", "fc6_bn", "fc6_relu", "fc6_dropout"),
        *("fc7", "fc7_bn", "fc7_relu", "fc7_dropout", "fc8"),
    ]
    shapes = [tuple(found[name].weight.shape) for name in ("fc6", "fc7", "fc8")]
    assert shapes == [(5, 6), (4, 5), (3, 4)]


def test_the_keys_do_not_depend_on_the_dropout():
    found = [
        [name for name, _ in fc_layers(6, Head(hidden=(5,), dropout=p), 3, first=1)]
        for p in (0, 0.5)
    ]
    assert found[0] == found[1]


def test_a_scale_of_the_logits_is_a_layer_only_if_it_changes_them():
    plain = dict(fc_layers(6, Head(bias=False), 3, first=2))
    assert list(plain) == ["fc2"]
    assert plain["fc2"].bias is None
    scaled = dict(fc_layers(6, Head(logit_scale=0.5), 3, first=2))
    assert isinstance(scaled["logit_scale"], LogitScale)

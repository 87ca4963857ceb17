"""The modules: names, sizes, options and errors."""

import copy
import inspect
import pickle

import pytest
import torch
from torch import nn

import vgg_lit.models
from vgg_lit.errors import InputError
from vgg_lit.models import HEADS, TABLE_1, VARIANTS, build
from vgg_lit.models.head_layers import AveragePool
from vgg_lit.models.response_norm import LocalResponseNorm

# Blocks of the paper's columns as words, copied from Table 1 by hand.
PAPERS_BLOCKS = {
    "A": ["conv", "conv", "conv conv", "conv conv", "conv conv"],
    "A-LRN": ["conv lrn", "conv", "conv conv", "conv conv", "conv conv"],
    "B": ["conv conv"] * 5,
    "C": ["conv conv"] * 2 + ["conv conv conv"] * 3,
    "D": ["conv conv"] * 2 + ["conv conv conv"] * 3,
    "E": ["conv conv"] * 2 + ["conv conv conv conv"] * 3,
}
MODULES = {
    "conv": nn.Conv2d,
    "bn": nn.BatchNorm2d,
    "relu": nn.ReLU,
    "lrn": LocalResponseNorm,
    "pool": nn.MaxPool2d,
    "fc": nn.Linear,
    "dropout": nn.Dropout,
    "avgpool": AveragePool,
}
PLANS = {  # VGG-like networks for CIFAR-10 of github.com/JianZhongDev/VGGPyTorch; side of the last map
    "I": ([[128], [256], [512]], [1024], 4),
    "II": ([[128], [256, 256], [512, 512]], [1024, 1024], 4),
    "III": ([[128], [256, 256], [512] * 6], [1024, 1024], 4),
}


def papers_layer_names(variant: str) -> list[str]:
    """The layer names of a network with the paper's head, from PAPERS_BLOCKS."""
    names = []
    for b, block in enumerate(PAPERS_BLOCKS[VARIANTS[variant].letter], 1):
        c = 0
        for word in block.split():
            if word == "conv":
                c += 1
                bn = [f"block{b}_bn{c}"] if variant.endswith("_bn") else []
                names += [f"block{b}_conv{c}", *bn, f"block{b}_relu{c}"]
            else:
                names.append(f"block{b}_{word}{c}")
        names.append(f"block{b}_pool")
    return [
        *names,
        "avgpool",
        *["fc6", "fc6_relu", "fc6_dropout", "fc7", "fc7_relu", "fc7_dropout", "fc8"],
    ]


def tiny(variant="vgg11_bn", **options) -> nn.Module:
    torch.manual_seed(0)
    return build(variant, **{"head": "cifar", "num_classes": 5, "width": 1 / 32, **options})


def meta(variant, **options) -> nn.Module:
    """A full-size network on the meta device."""
    with torch.device("meta"):
        return build(variant, **options)


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("variant", VARIANTS)
def test_layers_have_the_papers_names_in_forward_order(variant):
    net = tiny(variant, head="imagenet", image_size=32)
    assert list(net.layer_paths) == papers_layer_names(variant)

    called = []
    for name in net.layer_paths:
        net.layer(name).register_forward_hook(lambda *_, name=name: called.append(name))
    net(torch.randn(2, 3, 32, 32))
    assert called == papers_layer_names(variant)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("head", HEADS)
def test_layer_names_match_their_types(variant, head):
    net = tiny(variant, head=head, image_size=32)
    for name, path in net.layer_paths.items():
        layer = net.layer(name)
        kind = name.split("_")[-1].rstrip("0123456789")
        if name in ("fc6_bn", "fc7_bn"):
            assert type(layer) is nn.BatchNorm1d
        else:
            assert type(layer) is MODULES[kind], name
        assert layer is net.get_submodule(path)
    leaves = [m for m in net.modules() if not list(m.children()) and type(m) is not nn.Identity]
    assert len(leaves) == len(net.layer_paths)


def test_fc_layers_continue_the_numbers_of_the_blocks():
    net = tiny([[4], [4], [4]], head={"hidden": [8]}, image_size=8)
    assert [name for name in net.layer_paths if "block" not in name] == [
        *["fc4", "fc4_relu", "fc4_dropout", "fc5"],
    ]


def test_unknown_layer_is_reported_in_one_line_with_near_matches():
    with pytest.raises(InputError, match=r"'block5_conv3'\. Did you mean 'block5_conv"):
        tiny("vgg11").layer("block5_conv3")


@pytest.mark.parametrize(
    ("variant", "options", "count"),
    [
        ("vgg11", {}, 132_863_336),
        ("vgg11_lrn", {}, 132_863_336),
        ("vgg13", {}, 133_047_848),
        ("vgg16_1x1", {}, 133_638_952),
        ("vgg16", {}, 138_357_544),
        ("vgg19", {}, 143_667_240),
        ("vgg11_bn", {}, 132_868_840),
        ("vgg13_bn", {}, 133_053_736),
        ("vgg16_1x1_bn", {}, 133_647_400),
        ("vgg16_bn", {}, 138_365_992),
        ("vgg19_bn", {}, 143_678_248),
        ("vgg11", {"in_channels": 1, "num_classes": 10}, 128_806_154),
        # A's convolutions have 9,220,480 weights and biases; 512 x 10 + 10 more in one layer.
        ("vgg11", {"num_classes": 10, "head": "linear"}, 9_220_480 + 5_130),
        ("vgg11", {"num_classes": 10, "head": "gap", "image_size": 96}, 9_220_480 + 5_130),
        ("vgg11", {"num_classes": 10, "head": "linear", "image_size": 96}, 9_220_480 + 46_090),
        ("vgg11", {"num_classes": 10, "head": "cifar"}, 9_220_480 + 2 * (262_656 + 1024) + 5_130),
    ],
)
def test_parameter_count(variant, options, count):
    assert parameters(meta(variant, **options)) == count


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_has_a_builder_of_its_name(name):
    builder = getattr(vgg_lit.models, name)
    net = builder(num_classes=5, width=1 / 32, head="linear")
    assert net.plan == build(name, width=1 / 32, head="linear").plan
    assert builder.__name__ == name
    assert VARIANTS[name].letter in builder.__doc__
    assert pickle.loads(pickle.dumps(builder)) is builder
    options = dict(inspect.signature(build).parameters)
    del options["variant"], options["batch_norm"]
    assert dict(inspect.signature(builder).parameters) == options


def test_the_package_lists_its_lazily_loaded_names():
    assert set(vgg_lit.models.__all__) <= set(dir(vgg_lit.models))
    assert set(VARIANTS) <= set(vgg_lit.models.__all__)
    for name in vgg_lit.models.__all__:
        assert getattr(vgg_lit.models, name) is not None
    with pytest.raises(AttributeError, match="vgg17"):
        _ = vgg_lit.models.vgg17


def test_the_net_stores_its_options():
    net = tiny("vgg16_1x1", in_channels=1, image_size=64, width=1)
    assert (net.num_classes, net.in_channels, net.image_size) == (5, 1, 64)
    assert net.plan == TABLE_1["C"]
    assert net.head == HEADS["cifar"]


def test_image_size_defaults_to_the_heads():
    assert [meta("vgg11", head=head).image_size for head in HEADS] == [224, 32, 32, 32]


@pytest.mark.parametrize("size", [32, 33, 63, 64, 96])
@pytest.mark.parametrize("head", HEADS)
def test_any_size_that_the_pools_allow_works(head, size):
    net = tiny("vgg11", head=head, image_size=size).eval()
    assert net(torch.randn(2, 3, size, size)).shape == (2, 5)


@pytest.mark.parametrize(("blocks", "size"), [(5, 31), (5, 1), (3, 7)])
def test_an_image_size_that_is_too_small_is_refused_with_the_smallest(blocks, size):
    with pytest.raises(InputError, match=f"image_size={size} .* smallest is {2**blocks}"):
        build([[4]] * blocks, head="gap", image_size=size)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (32, 64), (16, 16)])
def test_a_flatten_head_refuses_another_size_in_one_line(height, width):
    with pytest.raises(InputError, match=f"a {height}x{width} image does not fit.*32x32 images"):
        tiny("vgg11")(torch.randn(2, 3, height, width))


@pytest.mark.parametrize("head", ["gap", "imagenet"])
def test_a_head_with_a_pool_takes_any_size(head):
    net = tiny("vgg11", head=head).eval()
    assert net(torch.randn(1, 3, 40, 96)).shape == (1, 5)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"num_classes": 0}, "num_classes=0 is not a whole number of at least 1"),
        ({"num_classes": True}, "num_classes=True"),
        ({"in_channels": 0}, "in_channels=0"),
        ({"image_size": "32"}, "image_size='32'"),
        ({"image_size": 0}, "image_size=0"),
        ({"width": 0}, "width=0 is not a positive number"),
        ({"dropout": 1.0}, r"dropout=1.0 is not in \[0, 1\)"),
        ({"dropout": -0.1}, "dropout=-0.1"),
        ({"head": "linear", "dropout": 0.5}, "without hidden layers"),
        ({"head": "cifer"}, "Did you mean 'cifar'"),
        ({"init": "xavir"}, "Did you mean 'xavier'"),
        ({"batch_norm": True}, "is allowed with a plan only"),
    ],
)
def test_a_wrong_option_is_named_in_one_line(options, complaint):
    with pytest.raises(InputError, match=complaint) as error:
        tiny(**options)
    assert "\n" not in str(error.value)


def test_width_multiplies_every_channel_and_hidden_layer():
    full, half = meta("vgg16_bn", head="cifar"), meta("vgg16_bn", head="cifar", width=0.5)
    for name in full.layer_paths:
        if "conv" in name:
            assert full.layer(name).out_channels == 2 * half.layer(name).out_channels
        elif name in ("fc6", "fc7"):
            assert full.layer(name).out_features == 2 * half.layer(name).out_features
    assert full.layer("fc8").out_features == half.layer("fc8").out_features == 1000


@pytest.mark.parametrize(("dropout", "expected"), [(None, 0.5), (0.0, 0.0), (0.2, 0.2)])
def test_dropout_overrides_the_heads_and_keeps_the_keys(dropout, expected):
    net = tiny(dropout=dropout)
    assert [net.layer(f"fc{n}_dropout").p for n in (6, 7)] == [expected] * 2
    assert net.state_dict().keys() == tiny().state_dict().keys()


@pytest.mark.parametrize(("blocks", "hidden", "side"), PLANS.values(), ids=PLANS)
def test_published_plans_are_pure_configuration(blocks, hidden, side):
    net = meta(blocks, head={"hidden": hidden, "dropout": 0.5}, image_size=32, num_classes=10)
    widths = [channels for block in blocks for channels in block]
    expected = sum(9 * i * o + o for i, o in zip([3, *widths[:-1]], widths, strict=True)) + sum(
        i * o + o for i, o in zip([widths[-1] * side**2, *hidden], [*hidden, 10], strict=True)
    )
    assert parameters(net) == expected
    x_BCHW = torch.empty(2, 3, 32, 32, device="meta")
    assert net.features(x_BCHW).shape == (2, 512, side, side)
    assert net(x_BCHW).shape == (2, 10)


@pytest.mark.parametrize("variant", ["vgg11_lrn", "vgg16_1x1_bn", [[(4, 5), "LRN"], [8]]], ids=str)
def test_copies_and_pickles_give_the_same_logits(variant):
    net = tiny(variant, image_size=32, width=1 / 16).eval()
    x_BCHW = torch.randn(2, 3, 32, 32)
    stranger = tiny(variant, image_size=32, width=1 / 16, init="xavier").eval()
    assert not torch.equal(stranger(x_BCHW), net(x_BCHW))
    stranger.load_state_dict(net.state_dict())
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), stranger):
        assert torch.equal(twin(x_BCHW), net(x_BCHW))
        assert (twin.layer_paths, twin.plan) == (net.layer_paths, net.plan)


def test_the_same_seed_gives_the_same_network():
    first, second = tiny().state_dict(), tiny().state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_dynamic_batch_exports():
    net = tiny().eval()
    program = torch.export.export(
        net, (torch.randn(2, 3, 32, 32),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    x_BCHW = torch.randn(5, 3, 32, 32)
    torch.testing.assert_close(program.module()(x_BCHW), net(x_BCHW))

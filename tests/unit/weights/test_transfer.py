"""Weights copied from one network to another, and refused copies."""

import pytest
import torch
from torch import nn

from vgg_lit.errors import InputError
from vgg_lit.models import build, resnet18, resnet50
from vgg_lit.models.layers import weighted_layers
from vgg_lit.weights.transfer import copy_layers

PAPERS = ["block1_conv1", "block2_conv1", "block3_conv1", "block3_conv2", "fc6", "fc7", "fc8"]


def tiny(variant, seed=0, **options):
    """A narrow network whose tensors all depend on the seed, including statistics."""
    torch.manual_seed(seed)
    head = {"hidden": [64, 64], "dropout": 0.5}
    options = {"width": 1 / 16, "head": head, "image_size": 32, "num_classes": 5, **options}
    net = build(variant, **options)
    for tensor in net.state_dict().values():
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.1, 1.0)
    return net


def tensors(net, layer):
    return [
        tensor
        for path in weighted_layers(net)[layer]
        for tensor in net.get_submodule(path).state_dict().values()
    ]


def same(net, other, here, there=None):
    mine, given = tensors(net, here), tensors(other, there or here)
    return all(torch.equal(a, b) for a, b in zip(mine, given, strict=True))


def assert_copied(net, before, source, pairs):
    """Asserts that the layers in `pairs` equal the source's and all others are unchanged."""
    for layer in weighted_layers(net):
        if layer in pairs:
            assert same(net, source, layer, pairs[layer]), layer
            assert not same(net, before, layer), layer
        else:
            assert same(net, before, layer), layer


@pytest.mark.parametrize("bn", ["", "_bn"])
@pytest.mark.parametrize("deeper", ["vgg13", "vgg16", "vgg16_1x1", "vgg19"])
def test_the_papers_layers_are_copied_from_a_to_every_deeper_network(deeper, bn):
    source, net, before = tiny(f"vgg11{bn}", 1), tiny(deeper + bn), tiny(deeper + bn)
    transfer = copy_layers(net, source, same_classes=True)
    assert list(transfer.copied) == PAPERS
    assert_copied(net, before, source, {name: name for name in PAPERS})
    assert set(transfer.copied) | set(transfer.fresh) == set(weighted_layers(net))


def test_a_shallow_source_gives_up_to_four_convolutions():
    source = tiny([[64], [128], [256]], 1, image_size=32)
    net = tiny([[64], [128, 128], [256, 256]])
    copied = list(copy_layers(net, source, same_classes=True).copied)
    assert copied == ["block1_conv1", "block2_conv1", "block3_conv1", "fc4", "fc5", "fc6"]


def test_the_same_network_copies_all_layers():
    source, net = tiny("vgg13_bn", 1), tiny("vgg13_bn")
    transfer = copy_layers(net, source, same_classes=True)
    assert transfer.fresh == ()
    assert all(
        torch.equal(a, b)
        for a, b in zip(net.state_dict().values(), source.state_dict().values(), strict=True)
    )
    assert str(transfer) == "all 13 layers; not copied: none"


@pytest.mark.parametrize("deeper", ["vgg11", "vgg16"])
def test_an_equal_number_of_classes_does_not_copy_the_last_layer(deeper):
    source, net, before = tiny("vgg11", 1), tiny(deeper), tiny(deeper)
    transfer = copy_layers(net, source)
    assert transfer.withheld == "fc8"
    assert transfer.fresh[-1] == "fc8"
    assert "fc7" in transfer.copied
    assert_copied(net, before, source, {name: name for name in transfer.copied})
    assert copy_layers(net, source, ["fc8"]).copied == {"fc8": "fc8"}


def test_the_last_layer_is_not_copied_for_another_number_of_classes():
    source, net, before = tiny("vgg11_bn", 1, num_classes=9), tiny("vgg11_bn"), tiny("vgg11_bn")
    transfer = copy_layers(net, source, same_classes=True)
    assert (transfer.fresh, transfer.withheld) == (("fc8",), None)
    assert_copied(net, before, source, {name: name for name in transfer.copied})
    other = tiny("vgg11", 1, num_classes=9)
    assert copy_layers(tiny("vgg16"), other, same_classes=True).fresh[-1] == "fc8"


@pytest.mark.parametrize("head", ["linear", "gap", {"hidden": [32, 64]}, "cifar"])
def test_another_head_is_not_copied(head):
    source, net, before = tiny("vgg11", 1), tiny("vgg11", head=head), tiny("vgg11", head=head)
    transfer = copy_layers(net, source)
    assert len(transfer.copied) == 8
    assert all(name.startswith("fc") for name in transfer.fresh)
    assert_copied(net, before, source, transfer.copied)


def test_only_named_layers_and_blocks_are_copied():
    source, net, before = tiny("vgg16_bn", 1), tiny("vgg19_bn"), tiny("vgg19_bn")
    transfer = copy_layers(net, source, ["block1", "block4_conv2", "fc7"])
    assert list(transfer.copied) == ["block1_conv1", "block1_conv2", "block4_conv2", "fc7"]
    assert_copied(net, before, source, transfer.copied)
    assert str(transfer).startswith(
        "block1_conv1, block1_conv2, block4_conv2, fc7; not copied: block2"
    )


def test_a_mapping_copies_between_different_names():
    source, net, before = tiny("vgg16", 1), tiny("vgg16"), tiny("vgg16")
    transfer = copy_layers(net, source, {"block4_conv3": "block4_conv2", "block5": "block5"})
    assert transfer.copied["block4_conv3"] == "block4_conv2"
    assert len(transfer.copied) == 4
    assert_copied(net, before, source, transfer.copied)
    assert "block4_conv3 from block4_conv2" in str(transfer)


@pytest.mark.parametrize(
    ("net", "source", "layers", "complaint"),
    [
        ({}, {}, ["block9"], "unknown layer 'block9'"),
        ({}, {}, {"fc6": "fc9"}, "unknown layer 'fc9'"),
        ({}, {}, {"block1_conv1": "block2_conv1"}, "block1_conv1 is 4x3x3x3 here, but the source's block2_conv1 is 8x4x3x3"),
        ({"variant": "vgg16"}, {}, ["block1"], "block1 has 2 layers here, but the source's block1 has 1"),
        ({}, {"variant": "vgg11_bn"}, ["block1"], "differ in batch norm"),
        ({}, {"variant": "vgg11_bn"}, None, "differ in batch norm"),
        ({}, {"num_classes": 9}, ["fc8"], "fc8 is 5x4 here, but the source's fc8 is 9x4"),
        ({"variant": "vgg16"}, {"width": 1 / 8}, None, "block1_conv1 is 4x3x3x3 here, .* 8x3x3x3.* more"),
        ({"variant": "vgg16"}, {"head": {"hidden": [32, 64]}}, None, "fc6 is 4x32 here, but the source's fc6 is 2x32"),
        ({"variant": "vgg16", "head": "linear"}, {}, None, "the network has no fc7; name"),
        ({"variant": "vgg16_1x1"}, {"variant": "vgg16"}, None, "block3_conv3 is 16x16x1x1 here"),
        ({"variant": [[4], [4]], "head": "gap"}, {"variant": "vgg16"}, None, "the network has no block1_conv2"),
    ],
)  # fmt: skip
def test_a_misfit_is_named_and_nothing_is_copied(net, source, layers, complaint):
    net = {"variant": "vgg11", **net}
    source = tiny(**{"variant": "vgg11", "seed": 1, **source})
    taker, before = tiny(**net), tiny(**net)
    with pytest.raises(InputError, match=complaint) as refused:
        copy_layers(taker, source, layers)
    assert "\n" not in str(refused.value)
    assert all(same(taker, before, layer) for layer in weighted_layers(taker))


@torch.no_grad()
@pytest.mark.parametrize("variant", ["vgg11", "vgg13_bn"])
def test_a_grey_image_gives_the_same_logits_as_in_colour(variant):
    colour, grey = tiny(variant, 1).eval(), tiny(variant, in_channels=1).eval()
    assert copy_layers(grey, colour, same_classes=True).fresh == ()
    x_B1HW = torch.rand(4, 1, 32, 32)
    torch.testing.assert_close(
        grey(x_B1HW), colour(x_B1HW.expand(-1, 3, -1, -1)), rtol=1e-4, atol=0
    )


def test_grey_weights_are_not_copied_to_colour():
    with pytest.raises(InputError, match="4x3x3x3 here, but the source's block1_conv1 is 4x1x3x3"):
        copy_layers(tiny("vgg11"), tiny("vgg11", in_channels=1))


def test_only_the_first_layer_is_summed_over_channels():
    narrow, wide = (tiny([[16 * channels], [64]], head="gap") for channels in (1, 3))
    with pytest.raises(InputError, match=r"block2_conv1 is 4x1x3x3 here, .* 4x3x3x3"):
        copy_layers(narrow, wide, ["block2_conv1"])


def test_other_networks_copy_by_their_modules():
    torch.manual_seed(1)
    source = resnet18(num_classes=7, image_size=32)
    net = resnet18(num_classes=5, image_size=32, in_channels=1)
    transfer = copy_layers(net, source)
    assert transfer.fresh == ("fc",)
    assert torch.equal(net.layer4[1].bn2.running_var, source.layer4[1].bn2.running_var)
    assert torch.equal(net.layer1[0].conv1.weight, source.layer1[0].conv1.weight)
    torch.testing.assert_close(net.conv1.weight, source.conv1.weight.sum(1, keepdim=True))


@pytest.mark.parametrize("source", ["resnet50", "vgg11"])
def test_networks_of_different_types_have_no_common_layers(source):
    with torch.device("meta"):
        other = resnet50() if source == "resnet50" else build("vgg11")
        with pytest.raises(
            InputError, match=r"ResNet and .* have different layers; name the layers"
        ):
            copy_layers(resnet18(), other)


def test_a_small_stem_is_left_out_by_naming_the_other_layers():
    with torch.device("meta"):
        net, source = resnet18(image_size=32), resnet18(image_size=224)
        with pytest.raises(
            InputError, match="conv1 is 64x3x3x3 here, but the source's conv1 is 64x3x7x7"
        ):
            copy_layers(net, source)
        names = ["bn1", "layer1", "layer2", "layer3", "layer4", "fc"]
        assert copy_layers(net, source, names).fresh == ("conv1",)


def test_a_whitening_layer_is_copied_with_the_convolutions():
    """The filters of the next layer are for its outputs."""
    options = {"batch_norm": True, "whitening": 2, "width": 1, "head": "gap"}
    source = tiny([[4, 4], [8]], num_classes=3, **options)
    net = tiny([[4, 4], [8]], seed=1, **options)
    found = copy_layers(net, source)
    assert "whiten" in found.copied
    assert all(map(torch.equal, tensors(net, "whiten"), tensors(source, "whiten")))
    assert [name[:2] for name in found.fresh] == ["fc"]

"""Receptive fields match those found by gradients."""

import pytest
import torch
from torch import nn

from vgg_lit.analysis.receptive_field import receptive_fields, receptive_fields_of
from vgg_lit.models import VARIANTS, build
from vgg_lit.models.dense import DenseVGG


def seen(layers, side):
    """Returns the bounds of the receptive fields of the middle output and of its neighbour."""
    x = torch.ones(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    maps = layers(x)
    middle = maps.shape[-1] // 2
    bounds = []
    for place in (middle, middle + 1):
        (gradient,) = torch.autograd.grad(maps[0, 0, middle, place], x, retain_graph=True)
        columns = gradient[0, 0].abs().sum(0).nonzero()
        bounds.append((int(columns.min()), int(columns.max())))
    return bounds


def with_ones(net):
    """Returns a net whose outputs depend on all inputs: weights are 1, max pools become mean pools."""
    for parameter in net.parameters():
        nn.init.ones_(parameter)
    for index, module in enumerate(net.features):
        if isinstance(module, nn.MaxPool2d):
            net.features[index] = nn.AvgPool2d(2)
        if isinstance(module, nn.LocalResponseNorm):
            net.features[index] = nn.Identity()
    return net.double().eval()


@pytest.mark.parametrize("variant", VARIANTS)
def test_receptive_fields_match_the_gradient(variant):
    net = with_ones(build(variant, width=1 / 512, in_channels=1, num_classes=1, dropout=0.0))
    fields = receptive_fields_of(net, 224)
    assert list(fields) == list(net.layer_paths)
    dense = DenseVGG(net)
    chains = {
        path: nn.Sequential(*net.features[: index + 1])
        for index, path in enumerate(f"features.{i}" for i in range(len(net.features)))
    }
    # the head, applied as a convolution to the map of a larger image
    chains |= {"avgpool": chains[list(chains)[-1]]} | {
        path: nn.Sequential(net.features, *dense.classifier[: index + 1])
        for index, path in enumerate(f"classifier.{i}" for i in range(len(net.classifier)))
    }
    for name, path in net.layer_paths.items():
        if name.endswith(("relu", "dropout")) or "_relu" in name:
            before = list(fields)[list(fields).index(name) - 1]
            assert fields[name] == fields[before]
            continue
        side, jump = fields[name]
        (first, last), (next_first, _) = seen(chains[path], side + 6 * jump)
        assert last - first + 1 == side, name
        assert next_first - first == jump, name


def test_three_3x3_layers_equal_one_7x7():
    three = receptive_fields([nn.Conv2d(1, 1, 3)] * 3)
    assert three[-1] == receptive_fields([nn.Conv2d(1, 1, 7)])[-1] == (7, 1)
    assert [field.side for field in three] == [3, 5, 7]


def test_vgg16_matches_the_published_receptive_field():
    """404 pixels at stride 32 (Long et al. 2015, table 1, FCN-VGG16)."""
    with torch.device("meta"):
        fields = receptive_fields_of(build("vgg16"), 224)
    assert fields["fc7"] == (404, 32)
    assert fields["block5_conv3"] == (196, 16)


@pytest.mark.parametrize(("side", "pooled", "jump"), [(32, 32, 0), (224, 212, 32), (448, 244, 64)])
def test_an_average_pool_covers_the_positions_that_it_averages(side, pooled, jump):
    with torch.device("meta"):
        net = build("vgg16", image_size=side)
    assert receptive_fields_of(net, side)["avgpool"] == (pooled if side > 32 else 212, jump)


def test_a_global_pool_has_the_field_of_the_layer_after_it():
    net = build([[4], [4]], head="gap", image_size=32)
    fields = receptive_fields_of(net, 32)
    assert fields["avgpool"].side == fields["fc3"].side == 10 + 7 * 4


def test_a_window_must_be_square():
    with pytest.raises(AssertionError, match="square"):
        receptive_fields([nn.Conv2d(1, 1, (3, 5))])

"""The dense form of a VGG, compared with the plain network and with an explicit sliding window."""

import pytest
import torch
from torch import nn

from vgg_lit.errors import InputError
from vgg_lit.models import build
from vgg_lit.models.dense import DenseVGG

THREE_BLOCKS = [[4], [6], [8, [8, 1]]]  # the last map is an eighth of the image
PAPERS = {"hidden": [20, 20], "pool": 7, "dropout": 0.5}  # the paper's head with fewer features
# head, and side of the training images in pixels
HEADS = [
    pytest.param(PAPERS, 56, id="7x7 map not pooled"),
    pytest.param(PAPERS, 8, id="1x1 map spread to 7x7"),
    pytest.param(PAPERS, 24, id="3x3 map spread to 7x7"),
    pytest.param({"hidden": [12], "pool": 2}, 40, id="5x5 map pooled to 2x2"),
    pytest.param({"hidden": [12, 9], "batch_norm": True, "dropout": 0.5}, 16, id="batch norm"),
    pytest.param("linear", 8, id="linear on a 1x1 map"),
    pytest.param("linear", 30, id="linear on a 3x3 map of 30 pixels"),
    pytest.param("gap", 24, id="gap"),
]


def network(head, image_size, variant=THREE_BLOCKS, **options):
    """Builds a network whose batch norm is not the identity."""
    torch.manual_seed(0)
    net = build(variant, num_classes=5, in_channels=2, image_size=image_size, head=head, **options)
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
    return net.eval()


def images(side, count=3):
    return torch.rand(count, 2, side, side, generator=torch.Generator().manual_seed(1))


def sliding_window_mean(net, x_BCHW, stride=8):
    """Returns the head's mean score over all windows of the last map, and the number of windows."""
    window = net.image_size // stride
    map_BCHW = net.features(x_BCHW)
    places = [
        (top, left)
        for top in range(map_BCHW.shape[2] - window + 1)
        for left in range(map_BCHW.shape[3] - window + 1)
    ]
    scores = [
        net.classifier(net.avgpool(map_BCHW[:, :, y : y + window, x : x + window]).flatten(1))
        for y, x in places
    ]
    return torch.stack(scores).mean(0), len(places)


def assert_equal(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert expected.std() > 1e-3  # the scores differ


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(("head", "image_size"), HEADS)
def test_at_the_training_size_it_equals_the_plain_network(head, image_size, batch_norm):
    net = network(head, image_size, batch_norm=batch_norm)
    dense = DenseVGG(net)
    x = images(image_size)
    assert dense.score_map(x).shape == (3, 5, 1, 1)
    assert_equal(dense(x), net(x))


@pytest.mark.parametrize(
    ("variant", "head", "image_size"),
    [
        ("vgg11", "imagenet", 224),
        ("vgg16_bn", "imagenet", 32),
        ("vgg11_lrn", "linear", 32),
        ("vgg16_1x1", "gap", 64),
        ("vgg13_bn", "cifar", 32),
    ],
)
def test_named_networks_equal_their_dense_form_at_the_training_size(variant, head, image_size):
    net = network(head, image_size, variant, width=1 / 32)
    x = images(image_size, count=2)
    assert_equal(DenseVGG(net)(x), net(x))


@pytest.mark.parametrize("more", [8, 20])
@pytest.mark.parametrize(("head", "image_size"), HEADS)
def test_on_larger_images_it_is_the_mean_over_a_sliding_window(head, image_size, more):
    net = network(head, image_size, batch_norm=True)
    x = images(image_size + more)
    expected, places = sliding_window_mean(net, x)
    assert places >= 4
    assert_equal(DenseVGG(net)(x), expected)


def test_images_need_not_be_square():
    net = network(PAPERS, 24)
    x = images(48)[:, :, :32]
    assert DenseVGG(net).score_map(x).shape == (3, 5, 2, 4)
    assert_equal(DenseVGG(net)(x), sliding_window_mean(net, x)[0])


def test_the_first_layer_has_the_side_of_the_map_and_the_others_1():
    dense = DenseVGG(network(PAPERS, 56))
    sides = [layer.kernel_size for layer in dense.classifier if isinstance(layer, nn.Conv2d)]
    assert sides == [(7, 7), (1, 1), (1, 1)]


def test_weights_are_shared_with_the_network():
    net = network(PAPERS, 56)
    dense = DenseVGG(net)
    x = images(56)
    with torch.no_grad():
        net.features[0].weight.mul_(0.5)
        net.classifier[0].weight.mul_(2)
        net.classifier[-1].bias.add_(1)
    assert_equal(dense(x), net(x))


def test_conversion_draws_no_random_number():
    net = network(PAPERS, 24)
    before = torch.get_rng_state()
    DenseVGG(net)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_image_that_is_too_small_is_refused_with_the_smallest_side():
    dense = DenseVGG(network("linear", 30))
    assert dense.smallest_image_size == 24
    assert dense(images(24)).shape == (3, 5)
    with pytest.raises(InputError, match=r"23x23 image is too small .* smallest side is 24"):
        dense(images(23))


def test_another_network_has_no_dense_form():
    with pytest.raises(InputError, match="a Sequential has no fully connected layers"):
        DenseVGG(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))


def test_conversion_works_on_the_meta_device():
    with torch.device("meta"):
        assert DenseVGG(build("vgg16", head="imagenet")).smallest_image_size == 224

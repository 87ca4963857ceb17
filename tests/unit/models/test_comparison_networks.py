"""torchvision's networks with a stem for small images."""

import pytest
import torch
from torchvision import models as torchvision_models

from vgg_lit.errors import InputError
from vgg_lit.models import efficientnet_b0, resnet18, resnet50
from vgg_lit.models.comparison import SMALL_IMAGE

BUILDERS = {"resnet18": resnet18, "resnet50": resnet50, "efficientnet_b0": efficientnet_b0}


@pytest.mark.parametrize("name", BUILDERS)
def test_at_224_pixels_the_network_is_torchvisions(name):
    with torch.device("meta"):
        ours, theirs = BUILDERS[name](), getattr(torchvision_models, name)()
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }
    assert [repr(module) for module in ours.modules()] == [repr(m) for m in theirs.modules()]


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0"])
def test_torchvisions_weights_give_torchvisions_logits(name):
    torch.manual_seed(0)
    theirs = getattr(torchvision_models, name)(num_classes=7).eval()
    ours = BUILDERS[name](num_classes=7).eval()
    ours.load_state_dict(theirs.state_dict())
    x_BCHW = torch.randn(1, 3, 96, 96)
    assert torch.equal(ours(x_BCHW), theirs(x_BCHW))


def maps(net, side, channels=3):
    """The side of the maps before the average pool."""
    sides = []
    net.avgpool.register_forward_hook(lambda module, args, output: sides.append(args[0].shape[-1]))
    net.eval()(torch.empty(1, channels, side, side, device="meta"))
    return sides[0]


@pytest.mark.parametrize(
    ("name", "side", "left"),
    [
        ("resnet18", 32, 4),
        ("resnet18", SMALL_IMAGE, 8),
        ("resnet18", 96, 3),
        ("resnet18", 224, 7),
        ("resnet50", 32, 4),
        ("efficientnet_b0", 32, 2),
        ("efficientnet_b0", 224, 7),
    ],
)
def test_small_images_keep_their_size_in_the_stem(name, side, left):
    with torch.device("meta"):
        assert maps(BUILDERS[name](image_size=side), side) == left


@pytest.mark.parametrize("name", BUILDERS)
def test_grey_images_and_other_classes(name):
    net = BUILDERS[name](num_classes=4, in_channels=1, image_size=32).eval()
    assert net(torch.randn(2, 1, 32, 32)).shape == (2, 4)


@pytest.mark.parametrize(
    ("name", "count"),
    # torchvision's 1,000-class networks; the stem has 1,728 weights in place of 9,408, the head 10 x (in + 1)
    [
        ("resnet18", 11_689_512 - 9_408 + 1_728 - 990 * 513),
        ("resnet50", 25_557_032 - 9_408 + 1_728 - 990 * 2049),
        ("efficientnet_b0", 5_288_548 - 990 * 1281),
    ],
)
def test_parameter_count_at_32_pixels(name, count):
    with torch.device("meta"):
        net = BUILDERS[name](num_classes=10, image_size=32)
    assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize("name", BUILDERS)
def test_the_stem_is_initialised_like_the_rest(name):
    torch.manual_seed(0)
    net = BUILDERS[name](in_channels=1, image_size=32)
    stem = next(module for module in net.modules() if isinstance(module, torch.nn.Conv2d))
    expected = (2 / (stem.out_channels * 9)) ** 0.5  # He et al. 2015, fan out
    assert stem.weight.std().item() == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("option", ["num_classes", "in_channels", "image_size"])
def test_a_wrong_option_is_named(name, option):
    with pytest.raises(InputError, match=f"{option}=0 is not a whole number"):
        BUILDERS[name](**{option: 0})

"""The networks of timm by name."""

import pytest
import torch

from vgg_lit.errors import InputError
from vgg_lit.models import timm_network
from vgg_lit.system.weightless import build_without_weights

timm = pytest.importorskip("timm", reason="needs the extra timm")


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "convnext_atto"])
def test_networks_take_the_shape_of_the_data(name):
    arguments = {"name": name, "num_classes": 7, "in_channels": 1, "image_size": 64}
    net = build_without_weights({"_target_": "vgg_lit.models.timm_network", **arguments})
    assert net(torch.empty(2, 1, 64, 64, device="meta")).shape == (2, 7)
    assert next(net.parameters()).is_meta


def test_options_reach_the_class():
    net = timm_network("resnet18", num_classes=2, options={"drop_rate": 0.5})
    assert net.drop_rate == 0.5


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet_18", {}, r"timm has no such network; did you mean resnet18"),
        ("hf-hub:someone/network", {}, "timm has no such network"),
        ("resnet18", {"checkpoint_path": "x.pth"}, "options: checkpoint_path cannot be set here"),
        ("resnet18", {"pretrained": True}, "options: pretrained cannot be set here"),
    ],
)
def test_nothing_is_downloaded_or_read(name, options, message):
    with pytest.raises(InputError, match=message):
        timm_network(name, options=options)

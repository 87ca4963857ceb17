"""One forward pass checks that any network returns logits."""

import sys
import types

import pytest
import torch
from torch import nn

from vgg_lit.errors import ConfigError
from vgg_lit.models.data_arguments import DataShape
from vgg_lit.models.network_output import check_logits
from vgg_lit.system.weightless import build_without_weights
from vgg_lit.targets import trust

ONES = torch.ones(10).numpy()
SHAPE = DataShape(10, in_channels=1, image_size=32)


def layers(channels=1, classes=10):
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)
    )


class Plain(nn.Module):
    def __init__(self, channels: int = 1, classes: int = 10):
        super().__init__()
        self.layers = layers(channels, classes)

    def forward(self, x_BCHW):
        return self.layers(x_BCHW)


class TwoOutputs(Plain):
    def forward(self, x_BCHW):
        return self.layers(x_BCHW), x_BCHW


class AuxiliaryOutput(Plain):
    def forward(self, x_BCHW):
        return {"logits": 1} if self.training else self.layers(x_BCHW)


class Maps(Plain):
    def forward(self, x_BCHW):
        return self.layers(x_BCHW)[:, :, None, None]


class Labels(Plain):
    def forward(self, x_BCHW):
        return self.layers(x_BCHW).long()


class Deep(Plain):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.MaxPool2d(7), nn.MaxPool2d(7), *layers())


class Mistaken(Plain):
    def forward(self, x_BCHW):
        return self.layer(x_BCHW)


class OnOneDevice(Plain):
    """Cannot run on the meta device."""

    def forward(self, x_BCHW):
        return self.layers(x_BCHW) + torch.from_numpy(ONES)


class BuiltFromValues(Plain):
    """Cannot be built on the meta device."""

    def __init__(self):
        super().__init__()
        self.layers.load_state_dict(layers().state_dict())
        self.scale = 1 + self.layers[0].weight.detach().cpu().sum().item()


@pytest.fixture(autouse=True)
def networks(monkeypatch):
    module = types.ModuleType("networks_of_a_test")
    for kind in (
        *(Plain, TwoOutputs, AuxiliaryOutput, Maps, Labels, Deep, Mistaken),
        *(OnOneDevice, BuiltFromValues),
    ):
        monkeypatch.setattr(kind, "__module__", module.__name__)
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    trust([module.__name__])


def check(name, shape=SHAPE, **arguments):
    spec = {"_target_": f"networks_of_a_test.{name}", **arguments}
    check_logits(build_without_weights(spec), spec, shape)


@pytest.mark.parametrize("name", ["Plain", "OnOneDevice", "BuiltFromValues"])
def test_networks_that_return_logits_pass(name):
    state = torch.get_rng_state()
    check(name)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("TwoOutputs", {}, r"TwoOutputs returns a tuple of 2; return only the logits \(N, 10\)"),
        ("AuxiliaryOutput", {}, r"a dict with the keys logits in training; return only"),
        ("Maps", {}, r"a tensor \(N, 10, 1, 1\); return logits \(N, 10\), e\.g\. by flatten\(1\)"),
        ("Labels", {}, r"values of type int64; return logits"),
        (
            "Plain",
            {"classes": 1000},
            r"1,000 logits; .*model\.<argument>=10; it has channels, classes",
        ),
        (
            "Plain",
            {"channels": 3},
            r"fails on 1 x 32 x 32 images: .* takes 3 channels and the data",
        ),
        ("Deep", {}, r"it works with data\.image_size=160"),
        (
            "Mistaken",
            {},
            r"AttributeError: .*'layer'.*forward\(images\) has to take images \(N, 1, H, W\)",
        ),
    ],
)
def test_other_output_is_one_line_with_the_remedy(name, arguments, message):
    with pytest.raises(ConfigError, match=message) as refused:
        check(name, **arguments)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("model: ")


def test_an_auxiliary_head_of_torchvision_is_named():
    spec = {"_target_": "torchvision.models.googlenet", "num_classes": 10, "init_weights": False}
    shape = DataShape(10, in_channels=3, image_size=64)
    with pytest.raises(ConfigError, match=r"set model\.aux_logits=false, or return only"):
        check_logits(build_without_weights(spec), spec, shape)

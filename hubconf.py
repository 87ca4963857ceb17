"""Networks for `torch.hub`.

net = torch.hub.load("<folder of this repository>", "fast_vgg", source="local", weights="cifar10")
net = torch.hub.load("<folder of this repository>", "vgg16_bn", source="local", num_classes=10)
"""

from vgg_lit.models import (
    fast_vgg,
    vgg11,
    vgg11_bn,
    vgg11_lrn,
    vgg13,
    vgg13_bn,
    vgg16,
    vgg16_1x1,
    vgg16_1x1_bn,
    vgg16_bn,
    vgg19,
    vgg19_bn,
)

dependencies = ["torch", "safetensors"]
"""Packages that torch.hub looks for before it loads a network."""

__all__ = [
    "fast_vgg",
    "vgg11",
    "vgg11_bn",
    "vgg11_lrn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_1x1",
    "vgg16_1x1_bn",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]

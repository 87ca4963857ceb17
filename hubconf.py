"""Networks for `torch.hub`: `fast_vgg` and every variant.

net = torch.hub.load("<folder of this repository>", "fast_vgg", source="local", weights="cifar10")
net = torch.hub.load("<folder of this repository>", "vgg16_bn", source="local", num_classes=10)
"""

from vgg_lit import models

dependencies = ["torch", "safetensors"]
"""Packages that torch.hub looks for before it loads a network."""

globals().update({name: getattr(models, name) for name in ("fast_vgg", *models.VARIANTS)})

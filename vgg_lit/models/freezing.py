"""Layers that training leaves as they are.

freeze(net, ["block1", "block2"])
net.features[: frozen_depth(net)]  # what makes the same maps of an image in every epoch
"""

from collections.abc import Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from vgg_lit.models.layers import modules_of
from vgg_lit.models.vgg import VGG


def freeze(net: nn.Module, names: Sequence[str]) -> None:
    """Takes the gradient from layers or blocks, and puts their batch norm into evaluation mode.

    Raises:
        InputError: there is no such layer or block.
    """
    for module in [module for name in names for module in modules_of(net, name)]:
        module.requires_grad_(False)
    rest_frozen_norms(net)


def rest_frozen_norms(net: nn.Module) -> None:
    """Puts batch norm whose weights are frozen into evaluation mode, which `train()` takes it out of.

    Running statistics would else go on to move, and with them what the layer computes.
    """
    for module in net.modules():
        # not by the scale alone, which batch norm without a learned one never trains
        if isinstance(module, _BatchNorm) and module.affine and not module.bias.requires_grad:
            module.eval()


def frozen_depth(net: VGG) -> int:
    """How many modules of `net.features` come before the first with a trainable weight."""
    for depth, module in enumerate(net.features):
        if any(parameter.requires_grad for parameter in module.parameters()):
            return depth
    return len(net.features)

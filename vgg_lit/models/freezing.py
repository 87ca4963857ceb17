"""Frozen layers, which training does not change.

freeze(net, ["block1", "block2"])
net.features[: frozen_depth(net)]  # the modules with the same output in every epoch
"""

from collections.abc import Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from vgg_lit.models.layers import modules_of
from vgg_lit.models.vgg import VGG


def freeze(net: nn.Module, names: Sequence[str]) -> None:
    """Freezes layers or blocks: no gradient, and batch norm in evaluation mode.

    Raises:
        InputError: there is no such layer or block.
    """
    for module in [module for name in names for module in modules_of(net, name)]:
        module.requires_grad_(False)
    rest_frozen_norms(net)


def rest_frozen_norms(net: nn.Module) -> None:
    """Puts frozen batch norm layers into evaluation mode, which `train()` ends.

    Otherwise their running statistics, and so their outputs, would continue to change.
    """
    for module in net.modules():
        if isinstance(module, _BatchNorm) and is_frozen_norm(module):
            module.eval()


def is_frozen_norm(norm: _BatchNorm) -> bool:
    """Returns True if a batch norm layer is frozen."""
    # not by the scale alone, which batch norm without a learned one never trains
    return norm.affine and not norm.bias.requires_grad


def frozen_depth(net: VGG) -> int:
    """Returns the number of modules of `net.features` before the first with a trainable weight."""
    for depth, module in enumerate(net.features):
        if any(parameter.requires_grad for parameter in module.parameters()):
            return depth
    return len(net.features)

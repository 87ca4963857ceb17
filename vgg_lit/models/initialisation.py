"""Initialisation schemes for the weights of a new network.

initialise(net, "xavier")
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import nn

from vgg_lit.errors import unknown

Weighted: TypeAlias = nn.Conv2d | nn.Linear


def initialise(net: nn.Module, init: str) -> None:
    """Draws new weights for every convolution and FC layer, in place.

    Biases become 0, except with "pytorch". Batch norm starts as the identity: scale 1, shift 0.

    Raises:
        InputError: there is no scheme of that name; see `INITS`.
    """
    if init not in INITS:
        raise unknown("init", str(init), INITS)
    for module in net.modules():
        if isinstance(module, Weighted):
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            INITS[init](module)  # after the zeros, since PyTorch's scheme draws biases too
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.reset_parameters()


def kaiming(layer: Weighted) -> None:
    """Draws from N(0, 2 / fan in), which keeps the scale of the signal in a ReLU network of any depth.

    torchvision uses fan out for convolutions and N(0, 0.01^2) for FC layers, which shrinks the weak
    signal at the end of a deep network without batch norm: the logits of VGG-19 (linear head, 32
    pixels, noise) vary from image to image by 9e-4 with torchvision's scheme and by 7e-2 with this one.

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852, section 2.2.
    """
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")


def xavier(layer: Weighted) -> None:
    """Draws from U(-a, a), a^2 = 6 / (fan in + fan out): the paper's alternative to weights of a shallower net.

    Source: Glorot & Bengio 2010, equation 16; Simonyan & Zisserman 2015, section 3.1.
    """
    nn.init.xavier_uniform_(layer.weight)


def paper(layer: Weighted) -> None:
    """Draws from N(0, 0.01), a standard deviation of 0.1: the paper's initialisation of A, its shallowest network.

    Source: Simonyan & Zisserman 2015, section 3.1.
    """
    nn.init.normal_(layer.weight, std=0.1)


def pytorch(layer: Weighted) -> None:
    """PyTorch's default, U(-b, b) with b^2 = 1 / fan in, for weights and biases."""
    layer.reset_parameters()


def dirac(layer: Weighted) -> None:
    """Convolutions begin by handing their input on: filter i of the first is 1 at channel i's centre.

    The filters beyond the number of input channels, and FC layers, get PyTorch's default.

    Source: Zagoruyko & Komodakis 2017, https://arxiv.org/abs/1706.00388, for the initial identity;
    Keller Jordan 2024, https://arxiv.org/abs/2404.00498, for the part of the filters.
    """
    layer.reset_parameters()
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    if isinstance(layer, nn.Conv2d):
        row, column = (side // 2 for side in layer.kernel_size)
        same = torch.arange(min(layer.in_channels, layer.out_channels))
        with torch.no_grad():
            layer.weight[: len(same)] = 0
            layer.weight[same, same, row, column] = 1


def torchvision(layer: Weighted) -> None:
    """Convolutions N(0, 2 / fan out), FC layers N(0, 0.01^2), as in the networks of torchvision.

    Source: torchvision 0.29, `torchvision.models.VGG`.
    """
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    else:
        nn.init.normal_(layer.weight, std=0.01)


INITS: dict[str, Callable[[Weighted], None]] = {
    "kaiming": kaiming,
    "xavier": xavier,
    "paper": paper,
    "pytorch": pytorch,
    "dirac": dirac,
    "torchvision": torchvision,
}
"""The schemes by name."""

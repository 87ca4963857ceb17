"""What the layers of a network make of images, by the paper's names.

activations(net, x_BCHW, ["block1_conv1", "block5_pool"])["block5_pool"]  # (B, C, H, W)
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from vgg_lit.models.variants import unknown
from vgg_lit.models.vgg import VGG


def layer_modules(net: nn.Module) -> dict[str, nn.Module]:
    """Layers by the paper's names; of another network the modules without children, by their paths."""
    if isinstance(net, VGG):
        return {name: net.layer(name) for name in net.layer_paths}
    return {path: one for path, one in net.named_modules() if path and not list(one.children())}


def convolutions(net: nn.Module) -> dict[str, nn.Conv2d]:
    """The convolutions among the layers, in forward order."""
    layers = layer_modules(net).items()
    return {name: module for name, module in layers if isinstance(module, nn.Conv2d)}


def representative_layers(net: nn.Module, most: int = 5) -> list[str]:
    """The first convolution of each block; of another network some of its convolutions."""
    names = list(convolutions(net))
    if isinstance(net, VGG):
        return [name for name in names if name.endswith("_conv1")]
    return names[:: max(1, len(names) // most)][:most]


def check_layers(net: nn.Module, names: Sequence[str]) -> None:
    """Whether the network has these layers.

    Raises:
        InputError: it has not; near matches first, then all there are.
    """
    known = layer_modules(net)
    for name in names:
        if name not in known:
            raise unknown("layer", name, known)


def activations(net: nn.Module, x_BCHW: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """What the named layers give for images in evaluation mode; the network is left as it was.

    Raises:
        InputError: the network has no such layer.
    """
    check_layers(net, names)
    layers = layer_modules(net)
    found: dict[str, Tensor] = {}

    def keep(name: str) -> RemovableHandle:
        def hook(module: nn.Module, arguments: object, output: Tensor) -> None:
            # a copy: the ReLU behind it may work in place
            found[name] = output.clone()

        return layers[name].register_forward_hook(hook)

    handles = [keep(name) for name in names]
    try:
        with evaluating(net):
            net(x_BCHW)
    finally:
        for handle in handles:
            handle.remove()
    return {name: found[name] for name in names}


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards each module has its own mode again."""
    modes = {module: module.training for module in net.modules()}
    try:
        net.eval()
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode

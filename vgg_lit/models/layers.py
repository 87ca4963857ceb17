"""The layers of a network, by name.

    named_layers(vgg16_bn())["block1_conv1"]     # the module
    weighted_layers(vgg16_bn())["block1_conv1"]  # ("features.0", "features.1")
    layers_of(vgg16_bn(), "block1")              # ["block1_conv1", "block1_conv2"]

In a VGG layers have the paper's names, and batch norm belongs to the layer before it. In any other
network a name is the path of a module.
"""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from vgg_lit.errors import unknown
from vgg_lit.models.vgg import VGG


def named_layers(net: nn.Module) -> dict[str, nn.Module]:
    """Returns the layers of a VGG by the paper's names; in other networks the modules without children."""
    if isinstance(net, VGG):
        return {name: net.get_submodule(path) for name, path in net.layer_paths.items()}
    modules = net.named_modules()
    return {name: module for name, module in modules if name and not any(module.children())}


def check_layers(net: nn.Module, names: Sequence[str]) -> None:
    """Checks that the network has these layers.

    Raises:
        InputError: a layer is missing; the message lists near matches, then all layers.
    """
    known = named_layers(net)
    for name in names:
        if name not in known:
            raise unknown("layer", name, known)


def convolutions(net: nn.Module) -> dict[str, nn.Conv2d]:
    """Returns the convolutions among the layers, in forward order."""
    layers = named_layers(net).items()
    return {name: layer for name, layer in layers if isinstance(layer, nn.Conv2d)}


def weighted_layers(net: nn.Module) -> dict[str, tuple[str, ...]]:
    """Returns the name of each layer with weights -> the paths of its modules, in forward order."""
    if not isinstance(net, VGG):
        modules = net.named_modules()
        return {path: (path,) for path, module in modules if any(True for _ in tensors_of(module))}
    layers: dict[str, tuple[str, ...]] = {}
    for name, path in net.layer_paths.items():
        module = net.get_submodule(path)
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            layers[name] = (path,)
        elif any(True for _ in tensors_of(module)):  # batch norm
            layer, paths = layers.popitem()
            layers[layer] = (*paths, path)
    return layers


def tensors_of(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yields a module's parameters and buffers by name, without those of its children."""
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)


def layers_of(net: nn.Module, name: str) -> list[str]:
    """Returns the layers of a block (`block1`, in a ResNet `layer1`), or the layer itself, by name.

    Raises:
        InputError: there is no such layer or block; the message lists near matches, then all names.
    """
    layers = list(weighted_layers(net))
    groups = _blocks(net, layers) | {layer: [layer] for layer in layers}
    if name not in groups:
        # a ResNet has too many layers to show them all
        raise unknown("layer", name, groups if isinstance(net, VGG) else _blocks(net, layers))
    return groups[name]


def modules_of(net: nn.Module, name: str) -> list[nn.Module]:
    """Returns the modules with weights in the layer or block of that name.

    Raises:
        InputError: as `layers_of`.
    """
    layers = weighted_layers(net)
    return [net.get_submodule(path) for layer in layers_of(net, name) for path in layers[layer]]


def _blocks(net: nn.Module, layers: list[str]) -> dict[str, list[str]]:
    """Returns the layers of each block by its name; outside a VGG a block is a module at depth 1 or 2."""
    if isinstance(net, VGG):
        names = [f"block{number}" for number in range(1, len(net.plan) + 1)]
        return {name: [layer for layer in layers if layer.startswith(f"{name}_")] for name in names}
    paths = [path for path, _ in net.named_modules() if path.count(".") <= 1]
    blocks = {path: [n for n in layers if f"{n}.".startswith(f"{path}.")] for path in paths if path}
    return {path: inside for path, inside in blocks.items() if inside}

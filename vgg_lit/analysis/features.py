"""Outputs of a network's layers by the paper's layer names, and losses built on them.

    maps = extract(net, x_BCHW, ["block1_relu1", "block4_conv2"])   # name -> (B, C, H, W) or (B, F)
    content, style = ContentLoss(net, photo_BCHW), StyleLoss(net, painting_BCHW)
    loss = content(x_BCHW) + 100 * style(x_BCHW)
    perceptual = PerceptualLoss(net)
    loss = perceptual(output_BCHW, target_BCHW)

Images must be normalised like the training images. Layers run in evaluation mode and not in place. The
network and its mode are not changed.

Shape suffixes: B images, C and D channels, H x W positions of a map, F features.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from vgg_lit.errors import InputError
from vgg_lit.models.layers import check_layers, convolutions, named_layers
from vgg_lit.models.vgg import VGG

CONTENT_LAYER = "block4_conv2"
STYLE_LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1")
"""Source: Gatys et al. 2016, section 3 and figure 1, https://doi.org/10.1109/CVPR.2016.265."""


def extract(net: nn.Module, x_BCHW: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """Returns the outputs of layers for images, in the requested order; gradients flow.

    A VGG runs only up to the last requested layer, so images may have any size if no layer of the head
    is requested.

    Args:
        net: a VGG, or any other network that takes images.
        x_BCHW: normalised images.
        layers: layer names of the paper, such as `block4_conv2` (before its ReLU), `block4_relu2` or
            `fc6`; for other networks, paths of modules without children, such as `layer1.0.conv1`.

    Raises:
        InputError: the network has no such layer.
    """
    check_layers(net, layers)
    if isinstance(net, VGG):
        return _run(_chain(net, layers), x_BCHW, layers)
    return _watched(net, x_BCHW, layers)


class Features(nn.Module):
    """`extract` as a module, with a frozen copy of the layers that does not follow training.

    Args:
        net: a VGG.
        layers: layer names of the paper.

    Raises:
        InputError: the network is not a VGG or has no such layer.
    """

    def __init__(self, net: nn.Module, layers: Sequence[str]) -> None:
        super().__init__()
        if not isinstance(net, VGG):
            raise InputError(
                f"a {type(net).__name__} has no layers with the paper's names; use a VGG"
            )
        check_layers(net, layers)
        self.layers = tuple(layers)
        self.chain = nn.ModuleDict(copy.deepcopy(_chain(net, layers))).requires_grad_(False)
        self.chain.eval()

    def train(self, mode: bool = True) -> "Features":
        """Does nothing: the layers always stay in evaluation mode."""
        return self

    def forward(self, x_BCHW: Tensor) -> dict[str, Tensor]:
        """Returns the outputs of the layers, by name."""
        return _run(self.chain, x_BCHW, self.layers)


class ContentLoss(nn.Module):
    """The relative squared error between the maps of images and of target images; 0 if equal.

    Args:
        net: a VGG; its layers are copied.
        content_BCHW: target images.
        layer: layer whose maps are compared.

    Source: Gatys et al. 2016, equation 1, divided by the sum of squares of the target.
    """

    target: Tensor

    def __init__(self, net: nn.Module, content_BCHW: Tensor, layer: str = CONTENT_LAYER) -> None:
        super().__init__()
        self.features = Features(net, [layer])
        self.layer = layer
        with torch.no_grad():
            self.register_buffer("target", self.features(content_BCHW)[layer])

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Returns the loss of images."""
        return relative_error(self.features(x_BCHW)[self.layer], self.target)


class StyleLoss(nn.Module):
    """The difference between the textures of images and of target images, independent of position.

    The loss is the mean over layers of the relative squared error of Gram matrices.

    Args:
        net: a VGG; its layers are copied.
        style_BCHW: target images; their size may differ.
        layers: layers whose Gram matrices are compared, with equal weights.

    Source: Gatys et al. 2016, equations 3 to 5. Each layer is divided by the sum of squares of its
        target instead of its size, so that the magnitude of its maps does not matter.
    """

    def __init__(
        self, net: nn.Module, style_BCHW: Tensor, layers: Sequence[str] = STYLE_LAYERS
    ) -> None:
        super().__init__()
        self.features = Features(net, layers)
        with torch.no_grad():
            for name, maps_BCHW in self.features(style_BCHW).items():
                self.register_buffer(f"gram_of_{name}", gram(maps_BCHW))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Returns the loss of images."""
        maps = self.features(x_BCHW)
        return style_error(maps, {name: self.get_buffer(f"gram_of_{name}") for name in maps})


class PerceptualLoss(nn.Module):
    """The mean over layers of the relative squared error between the maps of two batches of images.

    Args:
        net: a VGG; its layers are copied.
        layers: layers whose maps are compared.

    Source: Johnson et al. 2016, section 3.2, https://arxiv.org/abs/1603.08155 (feature reconstruction).
    """

    def __init__(self, net: nn.Module, layers: Sequence[str] = (CONTENT_LAYER,)) -> None:
        super().__init__()
        self.features = Features(net, layers)

    def forward(self, x_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
        """Returns the loss of images; gradients flow to both batches."""
        maps, targets = self.features(x_BCHW), self.features(target_BCHW)
        return torch.stack([relative_error(maps[name], targets[name]) for name in maps]).mean()


def gram(maps_BCHW: Tensor) -> Tensor:
    """Returns Gram matrices (B, C, D): the mean over positions of the product of two channels."""
    flat_BCP = maps_BCHW.flatten(2)
    return flat_BCP @ flat_BCP.transpose(1, 2) / flat_BCP.shape[2]


def style_error(maps: Mapping[str, Tensor], grams: Mapping[str, Tensor]) -> Tensor:
    """Returns the mean over layers of the relative error of Gram matrices.

    Args:
        maps: maps by layer.
        grams: target Gram matrices by layer; only these layers count.
    """
    errors = [relative_error(gram(maps[name]), target) for name, target in grams.items()]
    return torch.stack(errors).mean()


def relative_error(value: Tensor, target: Tensor) -> Tensor:
    """Returns the sum of squared errors, divided by the sum of squares of the target."""
    return (value - target).square().sum() / target.square().sum().clamp_min(1e-12)


def first_convolutions(net: nn.Module, most: int = 5) -> list[str]:
    """Returns the first convolution of each block of a VGG; up to `most` convolutions otherwise."""
    names = list(convolutions(net))
    if isinstance(net, VGG):
        return [name for name in names if name.endswith("_conv1")]
    return names[:: max(1, len(names) // most)][:most]


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Puts a network into evaluation mode, and restores the mode of each module afterwards."""
    modes = {module: module.training for module in net.modules()}
    try:
        net.eval()
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _watched(net: nn.Module, x_BCHW: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """Returns the outputs of layers, recorded by hooks while the whole network runs."""
    modules = named_layers(net)
    found: dict[str, Tensor] = {}

    def watch(name: str) -> RemovableHandle:
        def keep(module: nn.Module, arguments: object, output: Tensor) -> None:
            found[name] = output.clone()  # a following ReLU may work in place

        return modules[name].register_forward_hook(keep)

    with ExitStack() as stack:
        for name in layers:
            stack.callback(watch(name).remove)
        stack.enter_context(evaluating(net))
        net(x_BCHW)
    return {name: found[name] for name in layers}


def _chain(net: VGG, layers: Sequence[str]) -> dict[str, nn.Module]:
    """Returns all layers up to the last requested one, by name, each prepared by `_apart`."""
    names = list(net.layer_paths)
    end = 1 + max(map(names.index, layers), default=-1)
    return {name: _apart(net.layer(name)) for name in names[:end]}


def _apart(layer: nn.Module) -> nn.Module:
    """Returns a layer with the same weights, in evaluation mode and not in place."""
    layer = copy.copy(layer)
    layer.training = False
    if isinstance(layer, nn.ReLU):
        layer.inplace = False
    return layer


def _run(
    chain: Mapping[str, nn.Module] | nn.ModuleDict, x: Tensor, layers: Sequence[str]
) -> dict[str, Tensor]:
    found = {}
    for name, layer in chain.items():
        x = layer(x.flatten(1) if isinstance(layer, nn.Linear) else x)
        if name in layers:
            found[name] = x
    return {name: found[name] for name in layers}

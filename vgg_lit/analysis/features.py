"""What the layers of a network make of images, by the paper's names, and the losses built on it.

    maps = extract(net, x_BCHW, ["block1_relu1", "block4_conv2"])   # name -> (B, C, H, W) or (B, F)
    content, style = ContentLoss(net, photo_BCHW), StyleLoss(net, painting_BCHW)
    loss = content(x_BCHW) + 100 * style(x_BCHW)
    perceptual = PerceptualLoss(net)
    loss = perceptual(output_BCHW, target_BCHW)

Images are normalised as those the network was trained on. Layers run in evaluation mode, and none
overwrites the maps of the layer before it. The caller's network is left as it is, and so is its mode.

Shape suffixes: B images, C and D channels, H x W places of a map, F features.
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
    """What layers make of images, in the order in which they were asked for; gradients flow.

    Of a VGG, layers behind the last of them do not run, so that images may have any size up to the head.

    Args:
        net: a VGG, or any other network that takes images.
        x_BCHW: normalised images.
        layers: the paper's names, such as `block4_conv2` (before its ReLU), `block4_relu2` or `fc6`; of
            another network the paths of modules without children, such as `layer1.0.conv1`.

    Raises:
        InputError: the network has no such layer.
    """
    check_layers(net, layers)
    if isinstance(net, VGG):
        return _run(_chain(net, layers), x_BCHW, layers)
    return _watched(net, x_BCHW, layers)


class Features(nn.Module):
    """`extract` with a copy of the layers it needs, which stays as it is when the network learns.

    Args:
        net: a VGG.
        layers: the paper's names.

    Raises:
        InputError: the network is no VGG or has no such layer.
    """

    def __init__(self, net: nn.Module, layers: Sequence[str]) -> None:
        super().__init__()
        if not isinstance(net, VGG):
            raise InputError(
                f"a {type(net).__name__} has no layers by the paper's names; a VGG has"
            )
        check_layers(net, layers)
        self.layers = tuple(layers)
        self.chain = nn.ModuleDict(copy.deepcopy(_chain(net, layers))).requires_grad_(False)
        self.chain.eval()

    def train(self, mode: bool = True) -> "Features":
        """Leaves everything in evaluation mode."""
        return self

    def forward(self, x_BCHW: Tensor) -> dict[str, Tensor]:
        """What the layers make of images, by name."""
        return _run(self.chain, x_BCHW, self.layers)


class ContentLoss(nn.Module):
    """How far the maps of images are from those of others: relative squared error, 0 for the same.

    Args:
        net: a VGG; it is copied.
        content_BCHW: the images to look like.
        layer: where maps are compared.

    Source: Gatys et al. 2016, equation 1, over the sum of squares of the target.
    """

    target: Tensor

    def __init__(self, net: nn.Module, content_BCHW: Tensor, layer: str = CONTENT_LAYER) -> None:
        super().__init__()
        self.features = Features(net, [layer])
        self.layer = layer
        with torch.no_grad():
            self.register_buffer("target", self.features(content_BCHW)[layer])

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The loss of images."""
        return relative_error(self.features(x_BCHW)[self.layer], self.target)


class StyleLoss(nn.Module):
    """How far the textures of images are from those of others, whatever is where.

    The mean over layers of the relative squared error of Gram matrices.

    Args:
        net: a VGG; it is copied.
        style_BCHW: the images to look like; their size may be another.
        layers: where textures are compared; each counts alike.

    Source: Gatys et al. 2016, equations 3 to 5, each layer over the sum of squares of its target in
        place of its size, so that layers and networks with maps of any magnitude count alike.
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
        """The loss of images."""
        maps = self.features(x_BCHW)
        return style_error(maps, {name: self.get_buffer(f"gram_of_{name}") for name in maps})


class PerceptualLoss(nn.Module):
    """How unlike two batches of images look to a network: the mean over layers of the error of maps.

    Args:
        net: a VGG; it is copied.
        layers: where maps are compared.

    Source: Johnson et al. 2016, section 3.2, https://arxiv.org/abs/1603.08155 (feature reconstruction).
    """

    def __init__(self, net: nn.Module, layers: Sequence[str] = (CONTENT_LAYER,)) -> None:
        super().__init__()
        self.features = Features(net, layers)

    def forward(self, x_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
        """The loss of images; gradients flow to both."""
        maps, targets = self.features(x_BCHW), self.features(target_BCHW)
        return torch.stack([relative_error(maps[name], targets[name]) for name in maps]).mean()


def gram(maps_BCHW: Tensor) -> Tensor:
    """Gram matrices (B, C, D): the mean over places of the product of every two channels."""
    flat_BCP = maps_BCHW.flatten(2)
    return flat_BCP @ flat_BCP.transpose(1, 2) / flat_BCP.shape[2]


def style_error(maps: Mapping[str, Tensor], grams: Mapping[str, Tensor]) -> Tensor:
    """The mean over layers of the relative error of the Gram matrices of maps.

    Args:
        maps: by layer.
        grams: the Gram matrices to have, by layer; these layers count.
    """
    errors = [relative_error(gram(maps[name]), target) for name, target in grams.items()]
    return torch.stack(errors).mean()


def relative_error(value: Tensor, target: Tensor) -> Tensor:
    """The sum of squared errors over the sum of squares of the target."""
    return (value - target).square().sum() / target.square().sum().clamp_min(1e-12)


def first_convolutions(net: nn.Module, most: int = 5) -> list[str]:
    """The first convolution of each block; of another network than a VGG some of its convolutions."""
    names = list(convolutions(net))
    if isinstance(net, VGG):
        return [name for name in names if name.endswith("_conv1")]
    return names[:: max(1, len(names) // most)][:most]


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards each module has its own mode again."""
    modes = {module: module.training for module in net.modules()}
    try:
        net.eval()
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _watched(net: nn.Module, x_BCHW: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """What hooks see of layers while the whole network runs."""
    modules = named_layers(net)
    found: dict[str, Tensor] = {}

    def watch(name: str) -> RemovableHandle:
        def keep(module: nn.Module, arguments: object, output: Tensor) -> None:
            found[name] = output.clone()  # the ReLU behind it may work in place

        return modules[name].register_forward_hook(keep)

    with ExitStack() as stack:
        for name in layers:
            stack.callback(watch(name).remove)
        stack.enter_context(evaluating(net))
        net(x_BCHW)
    return {name: found[name] for name in layers}


def _chain(net: VGG, layers: Sequence[str]) -> dict[str, nn.Module]:
    """The layers of a network up to the last that is wanted, as `_apart` has them, by name."""
    names = list(net.layer_paths)
    end = 1 + max(map(names.index, layers), default=-1)
    return {name: _apart(net.layer(name)) for name in names[:end]}


def _apart(layer: nn.Module) -> nn.Module:
    """A layer with the same weights, in evaluation mode, that does not work in place."""
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

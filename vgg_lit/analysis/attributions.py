"""Pixel attributions of a prediction: Grad-CAM and integrated gradients, from Captum.

    heat_NHW = grad_cam(net, x_BCHW, classes_B, layer="block4_conv3")

Needs captum, which the extra `visualize` installs.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vgg_lit.analysis.features import extract
from vgg_lit.errors import InputError
from vgg_lit.models.layers import convolutions, named_layers

SMALLEST_SIDE = 7
"""Side of a map that still shows places in an image; a VGG at 224 pixels ends with it."""


def grad_cam_layer(net: nn.Module, x_BCHW: Tensor) -> str:
    """Returns the deepest ReLU of a VGG whose map has at least 7 x 7 positions.

    In other networks: the deepest such convolution. If no map is that large: the layer of the largest
    map, the deepest of several.

    Raises:
        InputError: the network has no convolution.
    """
    names = [name for name in named_layers(net) if "_relu" in name] or list(convolutions(net))
    if not names:
        raise InputError("only available for networks with a convolution")
    with torch.no_grad():
        maps = extract(net, x_BCHW[:1], names)
    sides = {name: min(one.shape[-2:]) for name, one in maps.items()}
    enough = min(SMALLEST_SIDE, max(sides.values()))
    return [name for name, side in sides.items() if side >= enough][-1]


def grad_cam(net: nn.Module, x_BCHW: Tensor, classes_B: Tensor, layer: str) -> Tensor:
    """Returns the Grad-CAM heat map (B, H, W) of a class; 0 where the evidence is against the class.

    Source: Selvaraju et al. 2017.

    Raises:
        InputError: the output of the layer is not a map.
    """
    from captum.attr import LayerGradCam

    twin = _twin(net)
    method = LayerGradCam(twin, named_layers(twin)[layer])
    heat_B1HW = method.attribute(x_BCHW, target=classes_B, relu_attributions=True).detach()
    if heat_B1HW.ndim != x_BCHW.ndim:
        raise InputError(f"layers: {layer} has no maps; choose layers before the first fc layer")
    return F.interpolate(heat_B1HW, x_BCHW.shape[-2:], mode="bilinear")[:, 0]


def integrated_gradients(
    net: nn.Module, x_BCHW: Tensor, classes_B: Tensor, baseline_1CHW: Tensor, steps: int = 32
) -> Tensor:
    """Returns the contribution of each pixel (B, H, W) to a class's logit, relative to a baseline.

    Contributions are summed over the channels. Over all pixels of an image they sum to the difference
    between the logits of the image and of the baseline.

    Source: Sundararajan et al. 2017.
    """
    from captum.attr import IntegratedGradients

    method = IntegratedGradients(_twin(net))
    baseline_BCHW = baseline_1CHW.expand_as(x_BCHW)
    added_BCHW = method.attribute(
        x_BCHW, baseline_BCHW, target=classes_B, n_steps=steps, internal_batch_size=len(x_BCHW)
    )
    return added_BCHW.detach().sum(dim=1).to(torch.float32)


def _twin(net: nn.Module) -> nn.Module:
    """Returns a copy in evaluation mode without in-place modules, so that hooks can read each output."""
    twin = copy.deepcopy(net).eval()
    for module in twin.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]
    return twin

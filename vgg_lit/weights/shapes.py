"""The VGG network that the shapes of a state dict belong to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import isqrt
from typing import TypeGuard

import torch
from torch import Tensor, nn

from vgg_lit.errors import InputError, one_line
from vgg_lit.models.variants import Conv, Head, Plan, smallest_image_size
from vgg_lit.models.vgg import VGG


def read_plan(features: Mapping[int, Mapping[str, Tensor]]) -> tuple[Plan, int, bool]:
    """Returns the plan, the channels of an image, and True if there is batch norm.

    Modules without weights show in the numbers: a ReLU follows each convolution and its batch norm, then
    LRN may follow (alone, or before a pool), and a pool ends each block.
    """
    blocks: list[list[Conv]] = [[]]
    norms, in_channels, last = 0, 0, -2
    for index, tensors in sorted(features.items()):
        weight, step = tensors.get("weight"), index - last
        if weight is not None and weight.ndim == 1 and step == 1 and "running_mean" in tensors:
            norms += 1
        elif _is_conv(weight) and 2 <= step <= 4 and (last >= 0 or not index):
            if step > 2:
                blocks.append([])
            if step == 4:
                blocks[-2][-1] = replace(blocks[-2][-1], lrn=True)
            in_channels = in_channels or weight.shape[1]
            blocks[-1].append(Conv(weight.shape[0], weight.shape[2]))
        else:
            raise InputError(
                f"weights do not fit a VGG: features.{index} is not a convolution or its batch norm at "
                "this place; number the modules as torchvision's vgg"
            )
        last = index
    convs = sum(map(len, blocks))
    if norms not in (0, convs):
        raise InputError(
            f"weights do not fit a VGG: {norms} of {convs} convolutions have batch norm"
        )
    return tuple(map(tuple, blocks)), in_channels, norms > 0


def _is_conv(weight: Tensor | None) -> TypeGuard[Tensor]:
    """Returns True if a tensor may be the weight of a convolution with an odd, square kernel."""
    if weight is None or weight.ndim != 4 or not weight.numel():
        return False
    height, width = weight.shape[2:]
    return height == width and height % 2 == 1


def fully_connected_shape(path: str, tensors: Mapping[str, Tensor]) -> tuple[int, int]:
    """Returns the outputs and inputs of a fully connected layer.

    Raises:
        InputError: it is another kind of layer.
    """
    weight = tensors.get("weight")
    if weight is None or weight.ndim not in (2, 4):
        raise InputError(f"weights do not fit a VGG: {path} is not a fully connected layer")
    return weight.shape[0], weight.shape[1:].numel()


def build_from_shapes(
    plan: Plan,
    in_channels: int,
    has_norm: bool,
    shapes: Sequence[tuple[int, int]],
    *,
    has_head_norm: bool,
) -> VGG:
    """Builds the network on the meta device."""
    channels = plan[-1][-1].channels
    side = 1
    if shapes:
        side = isqrt(shapes[0][1] // max(channels, 1))
        if channels * side**2 != shapes[0][1]:
            raise InputError(
                f"weights do not fit a VGG: the head takes {shapes[0][1]} features, which are not "
                f"square maps of {channels} channels"
            )
        for (given, _), (_, taken) in pairwise(shapes):
            if given != taken:
                raise InputError(
                    f"weights do not fit a VGG: a layer of the head has {given} outputs and the next "
                    f"takes {taken}; a layer is missing"
                )
    try:
        head = Head(
            hidden=tuple(outputs for outputs, _ in shapes[:-1]),
            pool=side if side == 7 else None,
            batch_norm=has_head_norm,
        )
        with torch.device("meta"):
            net = VGG(
                plan,
                head,
                num_classes=shapes[-1][0] if shapes else 1,
                in_channels=in_channels,
                image_size=side * smallest_image_size(plan),
                batch_norm=has_norm,
            )
    except (ValueError, RuntimeError, TypeError, OverflowError) as error:
        raise InputError(f"weights do not fit a VGG: {one_line(error)[:200]}") from error
    if not shapes:
        net.classifier = nn.Sequential()
        net.layer_paths = {n: path for n, path in net.layer_paths.items() if path[:4] == "feat"}
    return net

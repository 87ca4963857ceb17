"""Receptive fields of layers.

receptive_fields([nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)])[-1]  # side 5: as one 5x5 convolution
receptive_fields_of(vgg16(), 224)["block5_conv3"]               # ReceptiveField(side=196, jump=16)
"""

from collections.abc import Iterable
from typing import NamedTuple

from torch import nn

from vgg_lit.models.vgg import VGG


class ReceptiveField(NamedTuple):
    """The square of input pixels that one output depends on.

    Attributes:
        side: side of the square in input pixels; it may extend into the padding around the image.
        jump: distance between the squares of neighbouring outputs, in input pixels.
    """

    side: int
    jump: int


def receptive_fields(layers: Iterable[nn.Module]) -> list[ReceptiveField]:
    """Returns the receptive field after each layer of a chain.

    side_out = side_in + (kernel - 1) * jump_in and jump_out = jump_in * stride, from side = jump = 1.
    Layers without a kernel do not change it.

    Source: Simonyan & Zisserman 2015, section 2.3 (three 3x3 layers have a 7x7 receptive field).
    """
    fields = []
    side = jump = 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            side += (_side(layer.kernel_size) - 1) * jump
            jump *= _side(layer.stride)
        fields.append(ReceptiveField(side, jump))
    return fields


def receptive_fields_of(net: VGG, image_size: int) -> dict[str, ReceptiveField]:
    """Returns the receptive field of each layer of a VGG, by the paper's layer names.

    A fully connected layer counts as a convolution over the map of a larger image (section 3.2); its
    kernel is as large as the map of an image of `image_size` pixels.
    """
    fields = receptive_fields(net.features)
    last = fields[-1]
    window = net.map_side(image_size)
    sliding = ReceptiveField(last.side + (window - 1) * last.jump, last.jump)
    if net.head.pool:
        fields.append(_adaptively_pooled(last, window, net.head.pool))
    fields += [sliding] * len(net.classifier)
    return dict(zip(net.layer_paths, fields, strict=True))


def _adaptively_pooled(field: ReceptiveField, side: int, pooled: int) -> ReceptiveField:
    """Returns the largest side and the smallest jump after adaptive pooling to `pooled` x `pooled`."""
    starts = [place * side // pooled for place in range(pooled)]
    ends = [-(-(place + 1) * side // pooled) for place in range(pooled)]
    widest = max(end - start for start, end in zip(starts, ends, strict=True))
    return ReceptiveField(field.side + (widest - 1) * field.jump, side // pooled * field.jump)


def _side(size: int | tuple[int, ...]) -> int:
    """Returns the side of a square window, given as one number or as one number per axis."""
    sides = {size} if isinstance(size, int) else set(size)
    assert len(sides) == 1, f"{size}: the window must be square"
    return sides.pop()

"""What a layer sees of the image.

receptive_fields([nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)])[-1]  # side 5: as one 5x5 convolution
receptive_fields_of(vgg16(), 224)["block5_conv3"]               # ReceptiveField(side=196, jump=16)
"""

from collections.abc import Iterable
from typing import NamedTuple

from torch import nn

from vgg_lit.models.vgg import VGG


class ReceptiveField(NamedTuple):
    """The square of pixels that one output depends on.

    Attributes:
        side: of the square, input pixels; it may reach beyond the image, into the padding.
        jump: between the squares of neighbouring outputs, input pixels.
    """

    side: int
    jump: int


def receptive_fields(layers: Iterable[nn.Module]) -> list[ReceptiveField]:
    """The receptive field behind every layer of a chain, in order.

    side_out = side_in + (kernel - 1) * jump_in and jump_out = jump_in * stride, from side = jump = 1.
    Layers without a kernel leave it as it is.

    Source: Simonyan & Zisserman 2015, section 2.3 (three 3x3 layers see 7x7).
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
    """The receptive field of each layer of a VGG, by the paper's names.

    That of a fully connected layer is the one it has when it slides over the map of a larger image
    (section 3.2), by a window as large as the map of an image of `image_size` pixels.
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
    """Behind an adaptive pool of a map to `pooled` a side: the largest square, the least jump."""
    starts = [place * side // pooled for place in range(pooled)]
    ends = [-(-(place + 1) * side // pooled) for place in range(pooled)]
    widest = max(end - start for start, end in zip(starts, ends, strict=True))
    return ReceptiveField(field.side + (widest - 1) * field.jump, side // pooled * field.jump)


def _side(size: int | tuple[int, ...]) -> int:
    """Of a square window, which torch gives as a number or by its axes."""
    sides = {size} if isinstance(size, int) else set(size)
    assert len(sides) == 1, f"{size}: only a square has one side"
    return sides.pop()

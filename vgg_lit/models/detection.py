"""Object detection: torchvision's Faster R-CNN on the convolutions of a VGG.

detector = faster_rcnn(net, num_classes=20, image_mean=mean, image_std=std)
losses = detector(images, targets)   # in training: lists of (C, H, W) and of {"boxes", "labels"}
found = detector(images)             # in evaluation: a list of {"boxes", "labels", "scores"}
"""

import copy
from collections.abc import Sequence
from typing import Any

from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

from vgg_lit.errors import InputError
from vgg_lit.models.numbers import positive_int
from vgg_lit.models.vgg import VGG

ANCHOR_SIZES = (32, 64, 128, 256, 512)
"""Sides of the anchor boxes in pixels: the last three are the paper's, the smaller ones torchvision's."""


def faster_rcnn(
    net: nn.Module,
    num_classes: int,
    *,
    anchor_sizes: Sequence[int] = ANCHOR_SIZES,
    **options: Any,
) -> FasterRCNN:
    """Builds a detector on the output of a VGG's last convolution, before its last pool.

    Args:
        net: a VGG, trained or not; its convolutions are copied.
        num_classes: number of object classes, labelled from 1; 0 is the background.
        anchor_sizes: sides of the anchor boxes in pixels of the resized image.
        options: keyword arguments of torchvision's `FasterRCNN`. `image_mean` and `image_std` should be
            those of the network's training, for pixels in 0..1; default: ImageNet's. Images are resized
            so that the shorter side is `min_size` (default 800) and the longer at most `max_size`
            (default 1333).

    Raises:
        InputError: the network is not a VGG.

    Source: Ren et al. 2015, https://arxiv.org/abs/1506.01497.
    """
    if not isinstance(net, VGG):
        raise InputError(f"a detector needs a VGG, not a {type(net).__name__}")
    ends_in_pool = isinstance(net.features[-1], nn.MaxPool2d)
    backbone = copy.deepcopy(net.features[:-1] if ends_in_pool else net.features)
    backbone.out_channels = net.plan[-1][-1].channels  # type: ignore[assignment]
    return FasterRCNN(
        backbone,
        positive_int("num_classes", num_classes) + 1,
        rpn_anchor_generator=AnchorGenerator((tuple(anchor_sizes),), ((0.5, 1.0, 2.0),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], output_size=7, sampling_ratio=2),
        **options,
    )

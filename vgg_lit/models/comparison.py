"""Networks to compare a VGG with: torchvision's, with a stem for small images.

    net = resnet18(num_classes=10, image_size=32)

The stem of an ImageNet network shrinks an image to a half (EfficientNet) or a quarter (ResNet) of its
side before the first block, so that a 32-pixel image ends as one pixel. For images of up to
`SMALL_IMAGE` pixels the stem here keeps the size, as is usual for CIFAR-10.

Source: He et al. 2016, https://arxiv.org/abs/1512.03385; Tan & Le 2019, https://arxiv.org/abs/1905.11946.
"""

from torch import nn
from torchvision import models

from vgg_lit.models.numbers import positive_int

SMALL_IMAGE = 64
"""Side in pixels of the largest image for which the small stem is used."""


def resnet18(*, num_classes: int = 1000, in_channels: int = 3, image_size: int = 224) -> nn.Module:
    """Builds ResNet-18: 18 layers with weights, two 3x3 convolutions per block.

    Args:
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of an image in pixels; selects the stem. The small stem is a 3x3 convolution
            of stride 1 without max pool; the usual one is 7x7, stride 2, and the pool.

    Raises:
        InputError: a value is not a whole number of at least 1.
    """
    return _resnet("resnet18", num_classes, in_channels, image_size)


def resnet50(*, num_classes: int = 1000, in_channels: int = 3, image_size: int = 224) -> nn.Module:
    """Builds ResNet-50: 50 layers with weights, three convolutions per block; otherwise as `resnet18`."""
    return _resnet("resnet50", num_classes, in_channels, image_size)


def efficientnet_b0(
    *, num_classes: int = 1000, in_channels: int = 3, image_size: int = 224
) -> nn.Module:
    """Builds EfficientNet-B0; for small images its first convolution has stride 1 in place of 2.

    Args:
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of an image in pixels; selects the stem.

    Raises:
        InputError: a value is not a whole number of at least 1.
    """
    net = models.efficientnet_b0(num_classes=positive_int("num_classes", num_classes))
    stride = 1 if _is_small(image_size) else 2
    net.features[0][0] = _stem(in_channels, 32, kernel=3, stride=stride)
    return net


def _resnet(name: str, num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    net = models.get_model(name, num_classes=positive_int("num_classes", num_classes))
    if _is_small(image_size):
        net.conv1 = _stem(in_channels, 64, kernel=3, stride=1)
        net.maxpool = nn.Identity()
    else:
        net.conv1 = _stem(in_channels, 64, kernel=7, stride=2)
    return net


def _is_small(image_size: int) -> bool:
    return positive_int("image_size", image_size) <= SMALL_IMAGE


def _stem(in_channels: int, channels: int, *, kernel: int, stride: int) -> nn.Conv2d:
    """Builds the first convolution, initialised in the way torchvision initialises the others."""
    in_channels = positive_int("in_channels", in_channels)
    conv = nn.Conv2d(in_channels, channels, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv

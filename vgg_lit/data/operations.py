"""The operations of augmentation policies, with a separate operation for each sample of a batch.

Operations and magnitudes are tensors, so that there is no device sync and samples stay independent.
Every image passes through a warp, a lookup table of pixel values and a blend; all but its operation
are the identity. Results equal torchvision's for a single uint8 image.

Source: Cubuk et al. 2019, "AutoAugment: Learning augmentation strategies from data", table 6. The
definitions of the operations follow Pillow and torchvision.
"""

import torch
from torch import Tensor

OPERATIONS = (
    "Identity",
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "Brightness",
    "Color",
    "Contrast",
    "Sharpness",
    "Posterize",
    "Solarize",
    "AutoContrast",
    "Equalize",
    "Invert",
)
"""Operations by torchvision's names; the number of an operation is its index here."""


def operate(images_BCHW: Tensor, operation_B: Tensor, magnitude_B: Tensor) -> Tensor:
    """Applies an operation to each image; returns uint8 images.

    Args:
        images_BCHW: uint8 images.
        operation_B: indices into `OPERATIONS`.
        magnitude_B: float32 magnitudes in the units of torchvision's policies: shear as a slope,
            translation in pixels, rotation in degrees, 1 + magnitude as the factor of brightness,
            colour, contrast and sharpness, the number of bits kept by posterising, and the share of
            255 at and above which solarising inverts.
    """
    is_ = {name: operation_B == place for place, name in enumerate(OPERATIONS)}
    images_BCHW = _warp(images_BCHW, is_, magnitude_B)
    images_BCHW = _look_up(images_BCHW, is_, magnitude_B)
    return _blend(images_BCHW, is_, magnitude_B)


def _warp(images_BCHW: Tensor, is_: dict[str, Tensor], magnitude_B: Tensor) -> Tensor:
    """Shears from the top left corner, translates, or rotates about the centre; fills with black."""
    batch, channels, height, width = images_BCHW.shape
    device = images_BCHW.device
    angle_B = torch.where(is_["Rotate"], magnitude_B, 0.0).deg2rad()
    cosine_B11, sine_B11 = angle_B.cos()[:, None, None], angle_B.sin()[:, None, None]
    moved = {
        name: torch.where(is_[name], magnitude_B, 0.0)[:, None, None]
        for name in ("ShearX", "ShearY", "TranslateX", "TranslateY")
    }
    # pixel centres, relative to the image's centre
    y_H1 = (torch.arange(height, device=device) - (height - 1) / 2)[:, None]
    x_W = torch.arange(width, device=device) - (width - 1) / 2
    source_x_BHW = x_W * cosine_B11 - y_H1 * sine_B11
    source_x_BHW = source_x_BHW + moved["ShearX"] * (y_H1 + height / 2)
    source_x_BHW = source_x_BHW - moved["TranslateX"].trunc()
    source_y_BHW = x_W * sine_B11 + y_H1 * cosine_B11
    source_y_BHW = source_y_BHW + moved["ShearY"] * (x_W + width / 2)
    source_y_BHW = source_y_BHW - moved["TranslateY"].trunc()
    column_BHW = (source_x_BHW + (width - 1) / 2).round().long()
    row_BHW = (source_y_BHW + (height - 1) / 2).round().long()
    inside_BHW = (column_BHW >= 0) & (column_BHW < width) & (row_BHW >= 0) & (row_BHW < height)
    index_BHW = row_BHW.clamp(0, height - 1) * width + column_BHW.clamp(0, width - 1)
    index_BCP = index_BHW.view(batch, 1, -1).expand(-1, channels, -1)
    warped = images_BCHW.flatten(2).gather(2, index_BCP).view_as(images_BCHW)
    return warped * inside_BHW[:, None]


def _look_up(images_BCHW: Tensor, is_: dict[str, Tensor], magnitude_B: Tensor) -> Tensor:
    """Maps pixel values through a lookup table per sample and channel."""
    batch, channels = images_BCHW.shape[:2]
    levels = torch.arange(256, device=images_BCHW.device)
    values_BCP = images_BCHW.flatten(2).long()
    histogram_BCL = torch.zeros(batch, channels, 256, dtype=torch.long, device=levels.device)
    histogram_BCL.scatter_add_(2, values_BCP, torch.ones_like(values_BCP))
    magnitude_B11 = magnitude_B[:, None, None]
    # clamped because samples with other operations have other magnitudes
    dropped_B11 = (8 - magnitude_B11.long()).clamp(0, 8)
    tables = {
        "Brightness": (levels * (1 + magnitude_B11)).clamp(0, 255).long(),
        "Posterize": levels >> dropped_B11 << dropped_B11,
        "Solarize": torch.where(levels >= 255 * magnitude_B11, 255 - levels, levels),
        "AutoContrast": _stretching(histogram_BCL, levels),
        "Equalize": _equalizing(histogram_BCL, levels),
        "Invert": 255 - levels,
    }
    table_BCL = levels.expand(batch, channels, 256)
    for name, other in tables.items():
        table_BCL = torch.where(is_[name][:, None, None], other, table_BCL)
    return table_BCL.to(torch.uint8).gather(2, values_BCP).view_as(images_BCHW)


def _stretching(histogram_BCL: Tensor, levels: Tensor) -> Tensor:
    """Returns tables that stretch a channel's values to 0..255; a constant channel is unchanged."""
    occurs = histogram_BCL > 0
    low = torch.where(occurs, levels, 255).amin(2, keepdim=True)
    high = torch.where(occurs, levels, 0).amax(2, keepdim=True)
    scale = (high - low) * torch.tensor(1 / 255, dtype=torch.float32)
    stretched = ((levels - low) / scale).clamp(0, 255).long()
    return torch.where(high > low, stretched, levels)


def _equalizing(histogram_BCL: Tensor, levels: Tensor) -> Tensor:
    """Returns tables that equalise a channel's histogram, as Pillow does."""
    cumulative = histogram_BCL.cumsum(2)
    below = cumulative - histogram_BCL
    pixels = cumulative[:, :, -1:]
    # count of the brightest value that occurs: its cumulative count is the number of pixels
    brightest = torch.where(cumulative == pixels, pixels - below, 0).amax(2, keepdim=True)
    step = (pixels - brightest) // 255
    equalized = ((below + step // 2) // step.clamp(min=1)).clamp(max=255)
    return torch.where(step > 0, equalized, levels)


def _blend(images_BCHW: Tensor, is_: dict[str, Tensor], magnitude_B: Tensor) -> Tensor:
    """Blends images with a version without colour, contrast or sharpness, or away from it."""
    grey_B1HW = _grey(images_BCHW)
    # integer sums do not depend on the order of summation; float32 sums do
    mean_B = grey_B1HW.sum((1, 2, 3), dtype=torch.long) / grey_B1HW[0].numel()
    plain = {
        "Color": grey_B1HW,
        "Contrast": mean_B[:, None, None, None],
        "Sharpness": _blurred(images_BCHW),
    }
    images = images_BCHW.float()
    target = images
    for name, other in plain.items():
        target = torch.where(is_[name][:, None, None, None], other, target)
    # an image that is its own target is unchanged to the bit
    share = -magnitude_B[:, None, None, None]
    return (images + share * (target - images)).clamp_(0, 255).to(torch.uint8)


def _grey(images_BCHW: Tensor) -> Tensor:
    """Returns the luma of the images, rounded down for colour: (B, 1, H, W) float32."""
    if images_BCHW.shape[1] == 1:
        return images_BCHW.float()
    red, green, blue = images_BCHW.float().split(1, dim=1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).floor_()


def _blurred(images_BCHW: Tensor) -> Tensor:
    """Returns the mean of 3 x 3 pixels, the middle weighted by 5, float32; edge pixels are kept."""
    values = images_BCHW.float()
    height, width = values.shape[-2:]
    rows = values[:, :, : height - 2] + values[:, :, 1:-1] + values[:, :, 2:]
    box = rows[..., : width - 2] + rows[..., 1:-1] + rows[..., 2:]
    middle = values[:, :, 1:-1, 1:-1]
    # integer sums are exact in float32, and n / 13 is never halfway between two integers
    values[:, :, 1:-1, 1:-1] = ((box + 4 * middle) / 13).round()
    return values

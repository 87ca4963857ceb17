"""The operations of augmentation policies, with a separate operation for each sample of a batch.

Operations and magnitudes are tensors, so that there is no device sync and samples stay independent.
Every image passes through a warp, a lookup table of pixel values and a blend; all but its operation
are the identity. Results equal torchvision's for a single uint8 image.

A policy has few pairs of operation and magnitude. All that depends on a pair alone is computed once
(`plan`), so that a batch needs only lookups and few kernels.

Source: Cubuk et al. 2019, "AutoAugment: Learning augmentation strategies from data", table 6. The
definitions of the operations follow Pillow and torchvision.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from vgg_lit.data.draws import positions

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


WARPS = OPERATIONS.index("Rotate") + 1
"""Operations before this index move pixels; those from it on change their values."""


class Plan(NamedTuple):
    """Operations with a magnitude, one per row, for images of one size.

    Attributes:
        source_RP: pixel that each pixel is copied from, int32; H * W stands for black. Row 0 is the
            identity, and is shared by all operations that do not move pixels.
        warp_K: row of `source_RP` of each operation.
        level_KL: the new value of each pixel value, uint8.
        is_K3: True if the operation is Equalize, Color, Sharpness.
        factor_K2: 1 / 255 for AutoContrast, else 0; the share by which an image moves towards its
            version without colour, contrast or sharpness, 0 for other operations.
    """

    source_RP: Tensor
    warp_K: Tensor
    level_KL: Tensor
    is_K3: Tensor
    factor_K2: Tensor


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
    height, width = images_BCHW.shape[-2:]
    device = images_BCHW.device
    made = plan(operation_B.cpu(), magnitude_B.cpu(), height, width, device)
    row_B1 = positions(len(operation_B), device)[:, None]
    return carry_out(images_BCHW, made, row_B1)


def carry_out(images_BCHW: Tensor, plan: Plan, row_BS: Tensor) -> Tensor:
    """Applies S operations of a plan to each image, in order; returns uint8 images.

    Args:
        images_BCHW: uint8 images, of the plan's size.
        plan: the operations.
        row_BS: rows of each image's operations in the plan.
    """
    row_R = row_BS.flatten()  # one lookup for all steps
    source_RP = plan.source_RP.index_select(0, plan.warp_K.index_select(0, row_R)).long()
    rows = (
        source_RP,
        plan.level_KL.index_select(0, row_R),
        plan.is_K3.index_select(0, row_R),
        plan.factor_K2.index_select(0, row_R),
    )
    steps = zip(*(table.view(*row_BS.shape, -1).unbind(1) for table in rows), strict=True)
    for source_BP, level_BL, is_B3, factor_B2 in steps:
        is_equalize, is_color, is_sharpness = is_B3[:, :, None, None].split(1, dim=1)
        stretch_B11, share_B11 = factor_B2[:, :, None].split(1, dim=1)
        images_BCHW = _warp(images_BCHW, source_BP)
        images_BCHW = _look_up(images_BCHW, level_BL, is_equalize[..., 0], stretch_B11)
        images_BCHW = _blend(images_BCHW, is_color, is_sharpness, share_B11[..., None])
    return images_BCHW


def plan(
    operation_K: Tensor, magnitude_K: Tensor, height: int, width: int, device: torch.device
) -> Plan:
    """Builds the plan of some operations on the CPU and moves it to a device.

    Args:
        operation_K: indices into `OPERATIONS`, on the CPU.
        magnitude_K: float32 magnitudes as in `operate`, on the CPU.
        height: height of the images, pixels.
        width: width of the images, pixels.
        device: device of the images.
    """
    is_ = {name: operation_K == place for place, name in enumerate(OPERATIONS)}
    moves_K = operation_K > 0
    for name in OPERATIONS[WARPS:]:
        moves_K = moves_K & ~is_[name]
    moving_M = moves_K.nonzero().flatten()
    identity_P = torch.arange(height * width)[None]
    source_MP = _sources(operation_K[moving_M], magnitude_K[moving_M], height, width)
    blends_K = is_["Color"] | is_["Contrast"] | is_["Sharpness"]
    stretch_K = torch.where(is_["AutoContrast"], torch.tensor(1 / 255, dtype=torch.float32), 0.0)
    made = Plan(
        torch.cat([identity_P, source_MP]).int(),
        torch.where(moves_K, moves_K.cumsum(0), 0),
        _levels(is_, magnitude_K),
        torch.stack([is_["Equalize"], is_["Color"], is_["Sharpness"]], dim=1),
        torch.stack([stretch_K, torch.where(blends_K, -magnitude_K, 0.0)], dim=1),
    )
    return Plan(*(table.to(device) for table in made))


def _sources(operation_M: Tensor, magnitude_M: Tensor, height: int, width: int) -> Tensor:
    """Returns the pixel that each pixel is copied from: (M, H * W); H * W stands for black.

    Shears from the top left corner, translates, or rotates about the centre.
    """

    def magnitude_of(name: str) -> Tensor:
        is_operation_M = operation_M == OPERATIONS.index(name)
        return torch.where(is_operation_M, magnitude_M, 0.0)[:, None, None]

    angle_M11 = magnitude_of("Rotate").deg2rad()
    cosine_M11, sine_M11 = angle_M11.cos(), angle_M11.sin()
    # pixel centres, relative to the image's centre
    y_H1 = (torch.arange(height) - (height - 1) / 2)[:, None]
    x_W = torch.arange(width) - (width - 1) / 2
    source_x_MHW = x_W * cosine_M11 - y_H1 * sine_M11
    source_x_MHW = source_x_MHW + magnitude_of("ShearX") * (y_H1 + height / 2)
    source_x_MHW = source_x_MHW - magnitude_of("TranslateX").trunc()
    source_y_MHW = x_W * sine_M11 + y_H1 * cosine_M11
    source_y_MHW = source_y_MHW + magnitude_of("ShearY") * (x_W + width / 2)
    source_y_MHW = source_y_MHW - magnitude_of("TranslateY").trunc()
    column_MHW = (source_x_MHW + (width - 1) / 2).round().long()
    row_MHW = (source_y_MHW + (height - 1) / 2).round().long()
    inside_MHW = (column_MHW >= 0) & (column_MHW < width) & (row_MHW >= 0) & (row_MHW < height)
    return torch.where(inside_MHW, row_MHW * width + column_MHW, height * width).flatten(1)


def _levels(is_: dict[str, Tensor], magnitude_K: Tensor) -> Tensor:
    """Returns the new value of each pixel value, for operations that map values: uint8 (K, 256)."""
    levels = torch.arange(256)
    magnitude_K1 = magnitude_K[:, None]
    # clamped because other operations have other magnitudes
    dropped_K1 = (8 - magnitude_K1.long()).clamp(0, 8)
    tables = {
        "Brightness": (levels * (1 + magnitude_K1)).clamp(0, 255).long(),
        "Posterize": levels >> dropped_K1 << dropped_K1,
        "Solarize": torch.where(levels >= 255 * magnitude_K1, 255 - levels, levels),
        "Invert": 255 - levels,
    }
    table_KL = levels.expand(len(magnitude_K), 256)
    for name, other in tables.items():
        table_KL = torch.where(is_[name][:, None], other, table_KL)
    return table_KL.to(torch.uint8)


def _warp(images_BCHW: Tensor, source_BP: Tensor) -> Tensor:
    """Copies each pixel from another one; pixels from outside the image are black."""
    batch, channels = images_BCHW.shape[:2]
    black_BC1 = _scalar(0, torch.uint8, images_BCHW.device).expand(batch, channels, 1)
    pixels_BCP = torch.cat([images_BCHW.flatten(2), black_BC1], dim=2)
    index_BCP = source_BP[:, None].expand(-1, channels, -1)
    return pixels_BCP.gather(2, index_BCP).view_as(images_BCHW)


def _look_up(
    images_BCHW: Tensor, level_BL: Tensor, is_equalize_B11: Tensor, stretch_B11: Tensor
) -> Tensor:
    """Maps pixel values through a lookup table per sample and channel.

    AutoContrast stretches the values of a channel to 0..255. Equalize makes its histogram flat, as
    Pillow does. Both divide by a number that is 0 if the channel is to be left unchanged.
    """
    batch, channels = images_BCHW.shape[:2]
    values_BCP = images_BCHW.flatten(2).long()
    low_BC1, high_BC1 = values_BCP.aminmax(dim=2, keepdim=True)
    # counts are whole numbers below 2 ** 24: exact in float32, in any order, also when divided
    count_BCL = torch.zeros(batch, channels, 257, device=images_BCHW.device)
    one = _scalar(1, torch.float32, images_BCHW.device)
    count_BCL[..., 1:].scatter_add_(2, values_BCP, one.expand_as(values_BCP))
    below_BCL = count_BCL.cumsum(2)[..., :256]
    # pixels below the brightest value that occurs
    step_BC1 = below_BCL.gather(2, high_BC1).div_(255, rounding_mode="floor")
    equalized_BCL = below_BCL + step_BC1.div(2, rounding_mode="floor")
    stretched_BCL = positions(256, images_BCHW.device) - low_BC1
    dividend_BCL = torch.where(is_equalize_B11, equalized_BCL, stretched_BCL)
    divisor_BC1 = torch.where(is_equalize_B11, step_BC1, (high_BC1 - low_BC1) * stretch_B11)
    # truncates
    mapped_BCL = (dividend_BCL / divisor_BC1).clamp_(0, 255).to(torch.uint8)
    table_BCL = torch.where(divisor_BC1 > 0, mapped_BCL, level_BL[:, None])
    return table_BCL.gather(2, values_BCP).view_as(images_BCHW)


@lru_cache
def _scalar(value: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Returns a tensor without axes, created once per device."""
    return torch.full((), value, dtype=dtype, device=device)


def _blend(
    images_BCHW: Tensor, is_color_B111: Tensor, is_sharpness_B111: Tensor, share_B111: Tensor
) -> Tensor:
    """Moves images towards a version without colour, contrast or sharpness, or away from it."""
    images = images_BCHW.float()
    grey_B1HW = _grey(images)
    # integer sums do not depend on the order of summation; float32 sums do
    mean_B = grey_B1HW.sum((1, 2, 3), dtype=torch.long) / grey_B1HW[0].numel()
    target = torch.where(is_color_B111, grey_B1HW, mean_B[:, None, None, None])
    target = torch.where(is_sharpness_B111, _blurred(images), target)
    # an image that is its own target is unchanged to the bit
    return (images + share_B111 * (target - images)).clamp_(0, 255).to(torch.uint8)


def _grey(images_BCHW: Tensor) -> Tensor:
    """Returns the luma of float32 images, rounded down for colour: (B, 1, H, W)."""
    if images_BCHW.shape[1] == 1:
        return images_BCHW
    weighted_BCHW = images_BCHW * _luma(images_BCHW.device)
    red, green, blue = weighted_BCHW.split(1, dim=1)
    return (red + green + blue).floor_()


@lru_cache
def _luma(device: torch.device) -> Tensor:
    """Returns the weights of red, green and blue (3, 1, 1); created once per device."""
    return torch.tensor([0.2989, 0.587, 0.114]).view(3, 1, 1).to(device)


def _blurred(images_BCHW: Tensor) -> Tensor:
    """Returns the mean of 3 x 3 pixels, the middle weighted by 5, float32; edge pixels are kept."""
    values = images_BCHW.clone()
    height, width = values.shape[-2:]
    rows = values[:, :, : height - 2] + values[:, :, 1:-1] + values[:, :, 2:]
    box = rows[..., : width - 2] + rows[..., 1:-1] + rows[..., 2:]
    middle = values[:, :, 1:-1, 1:-1]
    # integer sums are exact in float32, and n / 13 is never halfway between two integers
    middle.copy_(box.add_(middle, alpha=4).div_(13).round_())
    return values

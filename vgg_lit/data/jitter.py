"""Scale jitter: rescales each sample to a random size and crops it."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from vgg_lit.data.draws import Draws, positions
from vgg_lit.data.statistics import ChannelStatistics
from vgg_lit.errors import InputError


class ScaleJitter:
    """Rescales each image to a side S, drawn from [min_scale, max_scale], and crops it at random.

    The images of the data set are square, with a side of at least min_scale. Images smaller than S
    are enlarged; a side of max_scale keeps all detail (`data.source.size` for a folder of images).
    Rescaling is bilinear and antialiased.

    Args:
        image_size: side of the crop, pixels.
        min_scale: smallest S, pixels, at least image_size; None: image_size.
        max_scale: largest S, pixels, at least min_scale; None: twice min_scale, as in the paper (256
            to 512).

    Source: Simonyan & Zisserman 2015, section 3.1 (multi-scale training). The paper crops from an
    image whose shorter side is S; here the images are already cropped to their central square.
    """

    def __init__(
        self, image_size: int, min_scale: int | None = None, max_scale: int | None = None
    ) -> None:
        self.image_size = image_size
        self.min_scale = image_size if min_scale is None else min_scale
        self.max_scale = 2 * self.min_scale if max_scale is None else max_scale
        if self.min_scale < image_size:
            raise InputError(
                f"min_scale={min_scale} must be at least image_size={image_size}, the crop's side"
            )
        if self.max_scale < self.min_scale:
            raise InputError(f"max_scale={max_scale} must be at least min_scale={self.min_scale}")

    def prepare(self, size: int, statistics: ChannelStatistics) -> None:
        """Checks the side of the data set's images.

        Raises:
            InputError: the images are too small.
        """
        if size < self.min_scale:
            raise InputError(
                f"min_scale={self.min_scale}: larger than the data set's images of {size} pixels;"
                f" allowed: at most {size}, or for a folder of images raise data.source.size"
            )

    def __call__(self, images_BCHW: Tensor, draws: Draws) -> Tensor:
        """Returns uint8 images of side `image_size`."""
        device = images_BCHW.device
        batch, channels, height, width = images_BCHW.shape
        assert height == width
        row_B2S = draws.each(self._first_rows)[:, :, None] + positions(self.image_size, device)
        source, weight = _filters(self.min_scale, self.max_scale, height, device)
        # a batch needs only lookups, for both axes at once
        row_R = row_B2S.flatten()
        source_TB2S = source.index_select(1, row_R).view(-1, *row_B2S.shape)
        weight_TB2S = weight.index_select(1, row_R).view(-1, *row_B2S.shape)
        *weights, total_B2S = weight_TB2S.unbind()
        images = images_BCHW.float()
        first_BC1 = _first_rows_of_maps(batch, channels, height, device)
        for axis in (0, 1):
            index_TBCS = first_BC1 + source_TB2S[:, :, axis, None]
            weights_of_axis = [weight_B2S[:, axis] for weight_B2S in weights]
            images = _resample_rows(images, index_TBCS, weights_of_axis, total_B2S[:, axis])
            images = images.transpose(2, 3)
        return images.round_().to(torch.uint8, memory_format=torch.contiguous_format)

    def _first_rows(self, draws: Draws) -> Tensor:
        """Returns the rows of `_filters` at which each sample's crop starts: top and left (B, 2)."""
        scale_B = draws.integers("scale", self.max_scale - self.min_scale + 1)
        room_B = self.min_scale + scale_B - self.image_size + 1
        # not `integers`, because the range differs between samples
        corners = (draws.uniform(f"crop {axis}") * room_B for axis in ("row", "column"))
        first_2B = [scale_B * self.max_scale + corner_B.floor().long() for corner_B in corners]
        return torch.stack(first_2B, dim=1)


def _resample_rows(
    images_BCHW: Tensor, index_TBCS: Tensor, weights: Sequence[Tensor], total_BS: Tensor
) -> Tensor:
    """Returns S resampled rows of float32 images: (B, C, S, W).

    It sums one weighted gather per tap of the widest filter. A matrix product is avoided, because its
    rounding may differ with the batch.

    Args:
        images_BCHW: images.
        index_TBCS: row that each tap reads, counted over all rows of all channels and images.
        weights: weights of each tap (B, S).
        total_BS: sum of the weights.
    """
    rows = images_BCHW.reshape(-1, images_BCHW.shape[-1])
    result: Tensor | None = None
    for index_BCS, weight_BS in zip(index_TBCS, weights, strict=True):
        gathered = rows.index_select(0, index_BCS.flatten()).view(*index_BCS.shape, -1)
        gathered.mul_(weight_BS[:, None, :, None])
        result = gathered if result is None else result.add_(gathered)
    assert result is not None
    return result.div_(total_BS[:, None, :, None])


@lru_cache(maxsize=8)
def _first_rows_of_maps(batch: int, channels: int, height: int, device: torch.device) -> Tensor:
    """Returns the first row of each channel, counted over all images: (B, C, 1); once per device."""
    return (torch.arange(batch * channels) * height).view(batch, channels, 1).to(device)


class _Filters(NamedTuple):
    """Filters of each row of images rescaled to each side S, for T taps.

    Row `(S - min_scale) * max_scale + r` is for row r of an image rescaled to S rows.

    Attributes:
        source_TR: row of the source that a tap reads, int64.
        weight_TR: weight of a tap, 0 outside the source; in the last row the sum of the weights.
    """

    source_TR: Tensor
    weight_TR: Tensor


@lru_cache
def _filters(min_scale: int, max_scale: int, height: int, device: torch.device) -> _Filters:
    """Builds the bilinear, antialiased filters of images with `height` rows; once per device."""
    side_S1 = torch.arange(min_scale, max_scale + 1)[:, None]
    row_R = torch.arange(max_scale)
    ratio_S1 = height / side_S1
    # the pixel's centre in rows of the source
    centre_SR = (row_R + 0.5) * ratio_S1 - 0.5
    radius_S1 = ratio_S1.clamp(min=1)
    lowest_SR = (centre_SR - radius_S1).ceil().long()
    taps = math.floor(2 * max(1.0, height / min_scale)) + 1
    total_SR = torch.zeros_like(centre_SR)
    sources, weights = [], []
    for tap in range(taps):
        source_SR = lowest_SR + tap
        weight_SR = (1 - (source_SR - centre_SR).abs() / radius_S1).clamp(min=0)
        weight_SR = weight_SR * ((source_SR >= 0) & (source_SR < height))
        total_SR += weight_SR
        sources.append(source_SR.clamp(0, height - 1).flatten())
        weights.append(weight_SR.flatten())
    tables = (torch.stack(sources), torch.stack([*weights, total_SR.flatten()]))
    return _Filters(*(table.to(device) for table in tables))

"""Scale jitter: rescales each sample to a random size and crops it."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from vgg_lit.data.draws import Draws, positions
from vgg_lit.data.rectangles import Rectangles
from vgg_lit.data.statistics import ChannelStatistics
from vgg_lit.errors import InputError


class ScaleJitter:
    """Rescales each image to a side S, drawn from [min_scale, max_scale], and crops it at random.

    The shorter side of the data set's images is at least min_scale; images smaller than S are enlarged,
    and a side of max_scale keeps all detail (`data.source.size` for a folder of images). Rescaling is
    bilinear and antialiased. `Rectangles` are rescaled to a shorter side of S and cropped anywhere.

    Args:
        image_size: side of the crop, pixels.
        min_scale: smallest S, pixels, at least image_size; None: image_size.
        max_scale: largest S, pixels, at least min_scale; None: twice min_scale, as in the paper (256
            to 512).
        whole: True takes whole images if the source has some that are not square; False takes the
            squares that the network sees in evaluation.

    Source: Simonyan & Zisserman 2015, section 3.1 (multi-scale training).
    """

    def __init__(
        self,
        image_size: int,
        min_scale: int | None = None,
        max_scale: int | None = None,
        whole: bool = False,
    ) -> None:
        self.whole = whole
        self._size = 0
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
        """Checks the side of the data set's images, of whole images the shorter one.

        Raises:
            InputError: the images are too small.
        """
        if size < self.min_scale:
            raise InputError(
                f"min_scale={self.min_scale}: larger than the data set's images of {size} pixels;"
                f" allowed: at most {size}, or for a folder of images raise data.source.size"
            )
        self._size = size

    def __call__(self, images: Tensor | Rectangles, draws: Draws) -> Tensor:
        """Returns uint8 images of side `image_size`."""
        canvas_BCHW = images.canvas_BCHW if isinstance(images, Rectangles) else images
        device = canvas_BCHW.device
        batch, channels, *sides = canvas_BCHW.shape
        if isinstance(images, Rectangles):
            source_TB2S, weight_TB2S = self._filters_anywhere(images.sides_B2, draws)
        else:
            assert sides[0] == sides[1]
            row_B2S = draws.each(self._first_rows)[:, :, None] + positions(self.image_size, device)
            source, weight = _filters(self.min_scale, self.max_scale, sides[0], device)
            # a batch needs only lookups, for both axes at once
            row_R = row_B2S.flatten()
            source_TB2S = source.index_select(1, row_R).view(-1, *row_B2S.shape)
            weight_TB2S = weight.index_select(1, row_R).view(-1, *row_B2S.shape)
        *weights, total_B2S = weight_TB2S.unbind()
        resized = canvas_BCHW.float()
        for axis in (0, 1):
            first_BC1 = _first_rows_of_maps(batch, channels, sides[axis], device)
            index_TBCS = first_BC1 + source_TB2S[:, :, axis, None]
            weights_of_axis = [weight_B2S[:, axis] for weight_B2S in weights]
            resized = _resample_rows(resized, index_TBCS, weights_of_axis, total_B2S[:, axis])
            resized = resized.transpose(2, 3)
        return resized.round_().to(torch.uint8, memory_format=torch.contiguous_format)

    def _filters_anywhere(self, from_B2: Tensor, draws: Draws) -> "_Filters":
        """Draws sides and crops of images of any shape; returns the filters of the crops' rows.

        Args:
            from_B2: height and width of each image.
            draws: the draws of the images, in the same streams as those of squares.
        """
        assert self._size, "prepare() comes first"
        side_B1 = (
            self.min_scale + draws.integers("scale", self.max_scale - self.min_scale + 1)[:, None]
        )
        # the shorter side becomes S, the longer is rounded, in integers
        to_B2 = (2 * from_B2 * side_B1 + self._size) // (2 * self._size)
        corner_B2 = torch.stack([draws.uniform(f"crop {axis}") for axis in ("row", "column")], 1)
        first_B2 = (corner_B2 * (to_B2 - self.image_size + 1)).floor().long()
        row_B2S = first_B2[:, :, None] + positions(self.image_size, from_B2.device)
        # a rounded longer side may have a slightly larger ratio, and a tap more
        taps = _count_taps(self._size, self.min_scale) + 1
        return _filter_rows(row_B2S, (from_B2 / to_B2)[:, :, None], from_B2[:, :, None], taps)

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

    In a table for squares, row `(S - min_scale) * max_scale + r` is for row r of an image rescaled to S
    rows.

    Attributes:
        source: row of the source that a tap reads, int64, taps first.
        weight: weight of a tap, 0 outside the source; after the last tap the sum of the weights.
    """

    source: Tensor
    weight: Tensor


@lru_cache
def _filters(min_scale: int, max_scale: int, height: int, device: torch.device) -> _Filters:
    """Builds the bilinear, antialiased filters of images with `height` rows; once per device."""
    side_S1 = torch.arange(min_scale, max_scale + 1)[:, None]
    ratio_S1 = height / side_S1
    rows = torch.arange(max_scale)
    found = _filter_rows(rows, ratio_S1, torch.tensor(height), _count_taps(height, min_scale))
    return _Filters(*(table.flatten(1).to(device) for table in found))


def _count_taps(height: int, side: int) -> int:
    """Returns the number of rows that a filter reads to resize `height` rows to at least `side`."""
    return math.floor(2 * max(1.0, height / side)) + 1


def _filter_rows(row: Tensor, ratio: Tensor, height: Tensor, taps: int) -> "_Filters":
    """Builds the bilinear, antialiased filters of rows of resized images.

    Args:
        row: rows of the resized image.
        ratio: rows of the source for each of them; its shape and that of `height` broadcast with `row`.
        height: number of rows of the source.
        taps: at least the number of rows that a filter reads.
    """
    # the pixel's centre in rows of the source
    centre = (row + 0.5) * ratio - 0.5
    radius = ratio.clamp(min=1)
    lowest = (centre - radius).ceil().long()
    total = torch.zeros_like(centre)
    sources, weights = [], []
    for tap in range(taps):
        source = lowest + tap
        weight = (1 - (source - centre).abs() / radius).clamp(min=0)
        weight = weight * ((source >= 0) & (source < height))
        total += weight
        sources.append(source.clamp(min=0).minimum(height - 1))
        weights.append(weight)
    return _Filters(torch.stack(sources), torch.stack([*weights, total]))

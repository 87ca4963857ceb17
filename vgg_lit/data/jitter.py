"""Scale jitter: rescales each sample to a random size and crops it."""

import math

import torch
from torch import Tensor

from vgg_lit.data.draws import Draws
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
        side_B = self.min_scale + draws.integers("scale", self.max_scale - self.min_scale + 1)
        room_B = side_B - self.image_size + 1
        # not `integers`, because the range differs between samples
        top_B = (draws.uniform("crop row") * room_B).floor()
        left_B = (draws.uniform("crop column") * room_B).floor()
        resampled = self._resample_rows(images_BCHW.float(), top_B, side_B)
        resampled = self._resample_rows(resampled.transpose(2, 3), left_B, side_B).transpose(2, 3)
        return resampled.round_().to(torch.uint8).contiguous()

    def _resample_rows(self, images_BCHW: Tensor, first_B: Tensor, side_B: Tensor) -> Tensor:
        """Returns rows first .. first + image_size of images with `side` rows: (B, C, size, W).

        It sums one weighted gather per tap of the widest filter. A matrix product is avoided, because
        its rounding may differ with the batch.
        """
        batch, channels, height, width = images_BCHW.shape
        device = images_BCHW.device
        ratio_B1 = (height / side_B)[:, None]
        row_S = torch.arange(self.image_size, device=device)
        # the pixel's centre in rows of the source
        centre_BS = (first_B[:, None] + row_S + 0.5) * ratio_B1 - 0.5
        radius_B1 = ratio_B1.clamp(min=1)
        lowest_BS = (centre_BS - radius_B1).ceil().long()
        taps = math.floor(2 * max(1.0, height / self.min_scale)) + 1
        map_BC1 = torch.arange(batch * channels, device=device).view(batch, channels, 1)
        rows = images_BCHW.reshape(-1, width)
        total_BS = torch.zeros_like(centre_BS)
        result = torch.zeros(batch, channels, self.image_size, width, device=device)
        for tap in range(taps):
            source_BS = lowest_BS + tap
            weight_BS = (1 - (source_BS - centre_BS).abs() / radius_B1).clamp(min=0)
            weight_BS = weight_BS * ((source_BS >= 0) & (source_BS < height))
            total_BS += weight_BS
            index_BCS = map_BC1 * height + source_BS.clamp(0, height - 1)[:, None]
            gathered = rows.index_select(0, index_BCS.flatten()).view_as(result)
            result += gathered.mul_(weight_BS[:, None, :, None])
        return result.div_(total_BS[:, None, :, None])

"""Scale jitter: each sample at a size of its own, and a crop of it."""

import math

import torch
from torch import Tensor

from vgg_lit.data.draws import Draws
from vgg_lit.data.statistics import ChannelStatistics
from vgg_lit.errors import InputError


class ScaleJitter:
    """Rescales each image to a side S, drawn from [min_scale, max_scale], and crops it at random.

    The images that the data set delivers are square; their side has to be min_scale at least. From
    there to S they are enlarged, so that max_scale is the side that keeps every detail
    (`data.source.size` of a folder of images). Rescaling is bilinear and antialiased.

    Args:
        image_size: side of the crop, pixels.
        min_scale: the smallest S, pixels, at least image_size; None: image_size.
        max_scale: the largest S, pixels, at least min_scale; None: twice min_scale, as the paper's
            512 to 256.

    Source: Simonyan & Zisserman 2015, section 3.1 (multi-scale training); there the crop is from an
    image with S as its shorter side, of which a data set's square is the centre.
    """

    def __init__(
        self, image_size: int, min_scale: int | None = None, max_scale: int | None = None
    ) -> None:
        self.image_size = image_size
        self.min_scale = image_size if min_scale is None else min_scale
        self.max_scale = 2 * self.min_scale if max_scale is None else max_scale
        if self.min_scale < image_size:
            raise InputError(
                f"min_scale={min_scale} is below image_size={image_size}, the crop's side"
            )
        if self.max_scale < self.min_scale:
            raise InputError(f"min_scale={self.min_scale} is above max_scale={max_scale}")

    def prepare(self, size: int, statistics: ChannelStatistics) -> None:
        """Checks the side of the images that the data set delivers.

        Raises:
            InputError: they are too small.
        """
        if size < self.min_scale:
            raise InputError(
                f"min_scale={self.min_scale}: more than the {size} pixels of the data set's images;"
                f" at most {size}, or of a folder of images more by data.source.size=..."
            )

    def __call__(self, images_BCHW: Tensor, draws: Draws) -> Tensor:
        """uint8 images of side `image_size`."""
        side_B = self.min_scale + draws.integers("scale", self.max_scale - self.min_scale + 1)
        room_B = side_B - self.image_size + 1
        # not `integers`, whose range is one for all samples
        top_B = (draws.uniform("crop row") * room_B).floor()
        left_B = (draws.uniform("crop column") * room_B).floor()
        resampled = self._resample_rows(images_BCHW.float(), top_B, side_B)
        resampled = self._resample_rows(resampled.transpose(2, 3), left_B, side_B).transpose(2, 3)
        return resampled.round_().to(torch.uint8).contiguous()

    def _resample_rows(self, images_BCHW: Tensor, first_B: Tensor, side_B: Tensor) -> Tensor:
        """Rows first .. first + image_size of the images rescaled to `side` rows: (B, C, size, W).

        A weighted sum of as many shifted gathers as the widest filter has taps; not a matrix product,
        whose rounding may differ with the batch.
        """
        batch, channels, height, width = images_BCHW.shape
        device = images_BCHW.device
        ratio_B1 = (height / side_B)[:, None]
        row_S = torch.arange(self.image_size, device=device)
        # the pixel's centre, as a row of the source
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

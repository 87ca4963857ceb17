"""Random erasing and cutout: overwrite a separate rectangle in each sample of a batch."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from vgg_lit.data.draws import Draws, positions
from vgg_lit.data.statistics import ChannelStatistics
from vgg_lit.errors import InputError


class RandomErasing:
    """Overwrites a rectangle of random area and shape with random pixels.

    The area is uniform in `scale`. The logarithm of height / width is uniform in the part of `ratio`
    for which a rectangle of that area fits into the image.

    Args:
        probability: probability that a rectangle of a sample is erased, per epoch.
        scale: minimum and maximum share of the image's area, above 0 and at most 1.
        ratio: minimum and maximum height / width, above 0.

    Source: Zhong et al. 2017, "Random erasing data augmentation", section 3.2 and ER-R of table 4.
    The paper redraws area and shape until both fit, which favours small areas.
    """

    def __init__(
        self,
        probability: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.4),
        ratio: tuple[float, float] = (0.3, 1 / 0.3),
    ) -> None:
        if not 0 <= probability <= 1:
            raise InputError(f"probability={probability}: must be 0 to 1")
        if not 0 < scale[0] <= scale[1] <= 1:
            raise InputError(
                f"scale={scale}: must be two shares, the smaller first, above 0 and at most 1"
            )
        if not 0 < ratio[0] <= ratio[1]:
            raise InputError(f"ratio={ratio}: must be two ratios above 0, the smaller first")
        self.probability = probability
        self.scale = scale
        self.ratio = ratio

    def __call__(self, images_BCHW: Tensor, draws: Draws) -> Tensor:
        """Returns uint8 images with random pixels in the rectangles."""
        height, width = images_BCHW.shape[-2:]
        inside = rectangles(draws.each(self._edges, height, width), height, width)
        noise = draws.bytes("erasing pixels", images_BCHW[0].numel()).view_as(images_BCHW)
        return torch.where(inside, noise, images_BCHW)

    def _edges(self, draws: Draws, height: int, width: int) -> Tensor:
        """Returns the edges of each sample's rectangle, as in `rectangles`: (B, 4)."""
        low, high = self.scale
        area_B = low + (high - low) * draws.uniform("erasing area")
        # the rectangle must fit: area * width / height <= ratio <= width / (area * height)
        logarithm_B, shape = area_B.log(), math.log(width / height)
        low_B = (logarithm_B - shape).clamp(min=math.log(self.ratio[0]))
        high_B = (-logarithm_B - shape).clamp(max=math.log(self.ratio[1]))
        ratio_B = (low_B + (high_B - low_B) * draws.uniform("erasing ratio")).exp()
        pixels_B = area_B * (height * width)
        rows_B = (pixels_B * ratio_B).sqrt().round().clamp(1, height)
        columns_B = (pixels_B / ratio_B).sqrt().round().clamp(1, width)
        rows_B = rows_B * (draws.uniform("erasing") < self.probability)
        top_B = (draws.uniform("erasing row") * (height - rows_B + 1)).floor()
        left_B = (draws.uniform("erasing column") * (width - columns_B + 1)).floor()
        return torch.stack([top_B, left_B, top_B + rows_B, left_B + columns_B], dim=1)


class Cutout:
    """Fills a square with the colour of the mean training pixel, in every image.

    The centre of the square may be anywhere in the image; at an edge, the square is clipped.

    Args:
        size: side of the square, pixels.

    Source: DeVries & Taylor 2017, "Improved regularization of convolutional neural networks with
    cutout", section 3.2; 16 pixels for CIFAR-10 (section 4.3).
    """

    def __init__(self, size: int = 16) -> None:
        if size < 1:
            raise InputError(f"size={size}: must be at least 1 pixel")
        self.size = size
        self._mean: tuple[float, ...] | None = None

    def prepare(self, size: int, statistics: ChannelStatistics) -> None:
        """Stores the mean training pixel."""
        self._mean = statistics.mean

    def __call__(self, images_BCHW: Tensor, draws: Draws) -> Tensor:
        """Returns images of the same dtype, each with a filled square."""
        assert self._mean is not None
        height, width = images_BCHW.shape[-2:]
        inside = rectangles(draws.each(self._edges, height, width), height, width)
        return torch.where(inside, _colour(self._mean, images_BCHW.device), images_BCHW)

    def _edges(self, draws: Draws, height: int, width: int) -> Tensor:
        """Returns the edges of each sample's square, as in `rectangles`: (B, 4)."""
        # the centre is on a corner of the pixel grid
        top_B = draws.integers("cutout row", height + 1) - self.size // 2
        left_B = draws.integers("cutout column", width + 1) - self.size // 2
        return torch.stack([top_B, left_B, top_B + self.size, left_B + self.size], dim=1)


@lru_cache
def _colour(mean: tuple[float, ...], device: torch.device) -> Tensor:
    """Returns the colour as uint8 (C, 1, 1); computed once per device."""
    levels = [round(255 * value) for value in mean]
    return torch.tensor(levels, dtype=torch.uint8).view(-1, 1, 1).to(device)


def rectangles(edges_B4: Tensor, height: int, width: int) -> Tensor:
    """Returns the mask of each sample's rectangle, clipped to the image: (B, 1, H, W) bool.

    Args:
        edges_B4: top, left, bottom and right edge, pixels; the rectangle ends before the last two.
        height: height of the images, pixels.
        width: width of the images, pixels.
    """
    y = positions(height, edges_B4.device)
    x = positions(width, edges_B4.device)
    top_B1, left_B1, bottom_B1, right_B1 = edges_B4.split(1, dim=1)
    in_rows_BH = (y >= top_B1) & (y < bottom_B1)
    in_columns_BW = (x >= left_B1) & (x < right_B1)
    return (in_rows_BH[:, :, None] & in_columns_BW[:, None])[:, None]

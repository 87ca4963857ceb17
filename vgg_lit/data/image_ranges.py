"""Pixel statistics that training images show, to find images that are unlike them.

    ranges = measure_ranges(images, ids)            # of the training images
    ranges.differences(images_BCHW)                 # [[], ["bright pixels 61 %, in training 0 to 18 %"]]

Shape suffixes: B images, C channels, H x W pixels, Q quantities.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vgg_lit.data.decoding_loader import checked
from vgg_lit.data.sources import Images, ResidentImages
from vgg_lit.errors import InputError

QUANTITIES = ("mean", "deviation", "dark pixels", "bright pixels")
"""Statistics of an image over all pixels and channels, in 0..1: see `pixel_quantities`."""

DARK, BRIGHT = 5, 250
"""Values at or below the first and at or above the second are extreme, on the scale 0..255."""

OUTSIDE = 0.001
"""Share of the training images below, and above, the measured range of a quantity."""

MARGIN, SMALL_SAMPLE = 0.02, 0.5
"""A range of n training images is widened by MARGIN + SMALL_SAMPLE / sqrt(n) at both ends."""

MOST_RESIDENT, MOST_STREAMED = 10_000, 1_000
"""Largest number of training images that are measured; images in files have to be decoded first."""

_BYTES = 1 << 27  # of resident images that are measured, if they are more than MOST_STREAMED
_BATCH = 64


@dataclass(frozen=True)
class ImageRanges:
    """The ranges of pixel statistics over training images.

    Attributes:
        images: number of measured images.
        ranges: lowest and highest value of each quantity, by name.
    """

    images: int
    ranges: Mapping[str, tuple[float, float]]

    @property
    def margin(self) -> float:
        """The tolerance beyond a range; larger for ranges of few images."""
        return MARGIN + SMALL_SAMPLE / math.sqrt(self.images)

    def differences(self, images_BCHW: Tensor) -> list[list[str]]:
        """Returns for each image the quantities outside their range, in words; empty if none is."""
        return [
            [
                f"{name} {100 * value:.0f} %, in training {100 * low:.0f} to {100 * high:.0f} %"
                for value, (name, (low, high)) in zip(values, self.ranges.items(), strict=True)
                if not low - self.margin <= value <= high + self.margin
            ]
            for values in pixel_quantities(images_BCHW).tolist()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain Python values for a checkpoint."""
        ranges = {name: list(limits) for name, limits in self.ranges.items()}
        return {"images": self.images, "ranges": ranges}

    @classmethod
    def from_dict(cls, values: Any) -> "ImageRanges":
        """Inverts `to_dict`.

        Raises:
            InputError: the values are invalid; they may come from an untrusted file.
        """
        try:
            images = int(values["images"])
            ranges = {name: tuple(map(float, values["ranges"][name])) for name in QUANTITIES}
            is_sound = images >= 1 and all(
                len(limits) == 2 and all(map(math.isfinite, limits)) for limits in ranges.values()
            )
        except (TypeError, KeyError, ValueError, OverflowError):
            is_sound = False
        if not is_sound:
            raise InputError(f"image ranges {str(values)[:200]}: invalid")
        return cls(images, {name: (limits[0], limits[1]) for name, limits in ranges.items()})


def pixel_quantities(images_BCHW: Tensor) -> Tensor:
    """Returns the QUANTITIES (B, Q) of uint8 images: mean, deviation, shares of extreme values."""
    # from counts of the 256 values, which need little memory and time for large images
    counts_BV = np.stack(
        [np.bincount(image.ravel(), minlength=256) for image in images_BCHW.numpy()]
    )
    shares_BV = counts_BV / images_BCHW[0].numel()
    values_V = np.arange(256) / 255
    mean_B = shares_BV @ values_V
    variance_B = shares_BV @ values_V**2 - mean_B**2
    quantities = (
        mean_B,
        np.sqrt(variance_B.clip(min=0)),
        shares_BV[:, : DARK + 1].sum(axis=1),
        shares_BV[:, BRIGHT:].sum(axis=1),
    )
    return torch.from_numpy(np.stack(quantities, axis=1))


def measure_ranges(images: Images, ids: Tensor) -> ImageRanges:
    """Measures the images of a split at the indices `ids`, or a sample spread evenly over them.

    Raises:
        InputError: an image file cannot be read.
    """
    quantities_NQ = torch.cat([pixel_quantities(part) for part in _sample(images, ids)])
    ends = torch.tensor([OUTSIDE, 1 - OUTSIDE], dtype=quantities_NQ.dtype)
    ranges = quantities_NQ.quantile(ends, dim=0).T.tolist()
    named = {name: (low, high) for name, (low, high) in zip(QUANTITIES, ranges, strict=True)}
    return ImageRanges(len(quantities_NQ), named)


def _sample(images: Images, ids: Tensor) -> Iterator[Tensor]:
    """Yields batches of the sample."""
    if not isinstance(images, ResidentImages):
        batches = [part.tolist() for part in _spread(ids, MOST_STREAMED).split(_BATCH)]
        yield from checked(images.loader(batches))
        return
    most = _BYTES // max(1, images.images_NCHW[0].numel())
    most = min(max(most, MOST_STREAMED), MOST_RESIDENT)
    for part in _spread(ids, most).split(_BATCH):
        yield images.images_NCHW[part.to(images.images_NCHW.device)].cpu()


def _spread(ids: Tensor, most: int) -> Tensor:
    if len(ids) <= most:
        return ids
    return ids[torch.linspace(0, len(ids) - 1, most).long()]

"""Mean and standard deviation of each channel, exact: from the counts of the 256 pixel values."""

import math
from typing import NamedTuple

import numpy as np
from torch import Tensor

_CHUNK = 4096  # images; bounds the int64 copy that counting makes


class ChannelStatistics(NamedTuple):
    """Per channel, for pixels in 0..1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def pixel_counts(images_NCHW: Tensor) -> np.ndarray:
    """How often each value occurs in each channel of uint8 images: (C, 256) int64."""
    channels = images_NCHW.shape[1]
    counts_C256 = np.zeros((channels, 256), np.int64)
    for chunk in images_NCHW.split(_CHUNK):
        for channel in range(channels):
            pixels = chunk[:, channel].flatten().numpy()
            counts_C256[channel] += np.bincount(pixels, minlength=256)
    return counts_C256


def channel_statistics(counts_C256: np.ndarray) -> ChannelStatistics:
    """Mean and (population) standard deviation; a constant channel gets 1, which leaves it at 0."""
    means, stds = [], []
    for counts in counts_C256.tolist():
        # Python integers: no rounding before the last division
        total = sum(counts)
        first = sum(value * count for value, count in enumerate(counts))
        second = sum(value * value * count for value, count in enumerate(counts))
        means.append(first / total / 255)
        stds.append(math.sqrt(total * second - first * first) / total / 255 or 1.0)
    return ChannelStatistics(tuple(means), tuple(stds))

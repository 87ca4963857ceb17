"""Mean, deviation and covariance of the pixels per channel, exact and in constant memory.

`pixel_sums` sums images in chunks, and its results can be added. `channel_statistics` then divides.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from torch import Tensor

_CHUNK = 1 << 18  # pixels; bounds the float64 copy made for summing


class ChannelStatistics(NamedTuple):
    """Pixel statistics per channel, for pixels in 0..1.

    Attributes:
        mean: mean of each channel.
        std: (population) deviation of each channel; 1 for a constant channel, so that it normalises
            to 0.
        covariance: (population) covariance of each pair of channels.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]


def pixel_sums(images_NCHW: Tensor) -> np.ndarray:
    """Returns the sum over pixels of the outer product of (1, values): int64 (1 + C, 1 + C).

    The first row holds the number of pixels and the channels' sums. Every product and sum is an
    integer below 2**53, so the fast float64 matrix product is exact.
    """
    channels, height, width = images_NCHW.shape[1:]
    sums = np.zeros((1 + channels, 1 + channels), np.int64)
    for chunk in images_NCHW.split(max(1, _CHUNK // (height * width))):
        values_CP = chunk.numpy().swapaxes(0, 1).reshape(channels, -1)
        terms = np.ones((1 + channels, values_CP.shape[1]))
        terms[1:] = values_CP
        sums += (terms @ terms.T).astype(np.int64)
    return sums


def total_pixel_sums(batches: Iterable[Tensor], in_channels: int) -> np.ndarray:
    """Returns the `pixel_sums` of all batches together."""
    sums = np.zeros((1 + in_channels, 1 + in_channels), np.int64)
    for images_NCHW in batches:
        sums += pixel_sums(images_NCHW)
    return sums


def channel_statistics(sums: np.ndarray) -> ChannelStatistics:
    """Computes the statistics from pixel sums, without rounding before the last division."""
    (total, *firsts), *rows = sums.tolist()  # Python integers, of any size
    seconds = [row[1:] for row in rows]
    channels = range(len(firsts))
    covariance = [
        [total * seconds[i][j] - firsts[i] * firsts[j] for j in channels] for i in channels
    ]
    return ChannelStatistics(
        mean=tuple(first / total / 255 for first in firsts),
        std=tuple(math.sqrt(covariance[i][i]) / total / 255 or 1.0 for i in channels),
        covariance=tuple(tuple(value / total**2 / 255**2 for value in row) for row in covariance),
    )


def principal_components(
    covariance: tuple[tuple[float, ...], ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Returns eigenvalues (C,), largest first, and eigenvectors (C, C) as columns, in float64.

    The sign of an eigenvector is chosen so that its largest component is positive.
    """
    values, vectors = np.linalg.eigh(np.array(covariance))
    values, vectors = values[::-1].clip(min=0), vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    return values, vectors * np.sign(vectors[largest, np.arange(len(values))])

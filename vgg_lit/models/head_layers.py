"""Layers of a head that PyTorch does not have as modules.

Shape suffixes: B images, C channels, H and W sides of a map, K classes, S side of a pooled map.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn


class GlobalMaxPool(nn.Module):
    """The maximum of each map: (B, C, H, W) to (B, C, 1, 1).

    Not `nn.AdaptiveMaxPool2d`, whose backward pass is not deterministic on CUDA.
    """

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Returns the maxima."""
        return F.max_pool2d(x_BCHW, x_BCHW.shape[-2:])


class AveragePool(nn.AdaptiveAvgPool2d):
    """Average pool of maps of any size to S x S; deterministic on every device.

    A map of S x S, such as the 7x7 map of a 224-pixel image in the paper's networks, is not changed.
    """

    output_size: int

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Returns the pooled maps (B, C, S, S)."""
        return average_pool(x_BCHW, self.output_size)


@fx.wrap  # a node of a traced graph: the sides are compared when the graph runs
def average_pool(x_BCHW: Tensor, side: int) -> Tensor:
    """Returns the averages of S x S bins of each map.

    The backward pass of PyTorch's function is not deterministic on CUDA unless S is 1. With
    `torch.use_deterministic_algorithms`, a product with a matrix for each side replaces it there.
    """
    height, width = x_BCHW.shape[-2:]
    if height == width == side:
        return x_BCHW
    if side > 1 and x_BCHW.is_cuda and torch.are_deterministic_algorithms_enabled():
        rows_SH, columns_SW = (averaging_matrix(n, side).to(x_BCHW) for n in (height, width))
        return rows_SH @ x_BCHW @ columns_SW.T
    return F.adaptive_avg_pool2d(x_BCHW, side)


def averaging_matrix(size: int, bins: int) -> Tensor:
    """Returns the matrix (bins, size) whose product with a vector is its average over adaptive bins.

    Bin i covers the positions from floor(i * size / bins) to ceil((i + 1) * size / bins) - 1.
    """
    matrix_SH = torch.zeros(bins, size)
    for i in range(bins):
        start, stop = i * size // bins, -(-(i + 1) * size // bins)
        matrix_SH[i, start:stop] = 1 / (stop - start)
    return matrix_SH


class LogitScale(nn.Module):
    """Multiplies logits by a constant.

    Source: Keller Jordan 2024, https://arxiv.org/abs/2404.00498.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, logits_BK: Tensor) -> Tensor:
        """Returns the scaled logits; also of a map (B, K, H, W)."""
        return logits_BK * self.factor

    def extra_repr(self) -> str:
        """Returns the factor, for `print(net)`."""
        return f"{self.factor}"

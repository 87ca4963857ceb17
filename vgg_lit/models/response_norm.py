"""Local response normalisation whose backward pass is deterministic on every device.

Shape suffixes: B images, C channels, H and W sides of a map.
"""

import torch.nn.functional as F
from torch import Tensor, fx, nn


class LocalResponseNorm(nn.LocalResponseNorm):
    """PyTorch's layer as a sum of shifted maps; the results are equal, bit for bit in float32 on a CPU.

    PyTorch's layer uses a three-dimensional average pool, whose backward pass is not deterministic on
    CUDA. Sums are computed in float32.

    Source: Krizhevsky et al. 2012, section 3.3.
    """

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Returns the normalised maps, in float32 or a wider type."""
        return local_response_norm(x_BCHW, self.size, self.alpha, self.beta, self.k)


@fx.wrap  # a node of a traced graph: the dtype is compared when the graph runs
def local_response_norm(x_BCHW: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """Returns the maps divided by a power of the mean square over `size` channels."""
    channels = x_BCHW.shape[1]
    squares_BCHW = x_BCHW * x_BCHW
    if squares_BCHW.dtype.itemsize < 4:
        squares_BCHW = squares_BCHW.float()
    padded_BCHW = F.pad(squares_BCHW, (0, 0, 0, 0, size // 2, (size - 1) // 2))
    sum_BCHW = padded_BCHW[:, :channels]
    for shift in range(1, size):
        sum_BCHW = sum_BCHW + padded_BCHW[:, shift : shift + channels]
    return x_BCHW / (sum_BCHW / size * alpha + k).pow(beta)

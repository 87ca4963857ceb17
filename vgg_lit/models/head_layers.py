"""Layers of a head that PyTorch does not have as modules.

Shape suffixes: B images, C channels, H and W sides of a map, K classes.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class GlobalMaxPool(nn.Module):
    """The maximum of each map: (B, C, H, W) to (B, C, 1, 1).

    Not `nn.AdaptiveMaxPool2d`, whose backward pass is not deterministic on CUDA.
    """

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The maxima."""
        return F.max_pool2d(x_BCHW, x_BCHW.shape[-2:])


class LogitScale(nn.Module):
    """Multiplies logits by a constant.

    Source: Keller Jordan 2024, https://arxiv.org/abs/2404.00498.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, logits_BK: Tensor) -> Tensor:
        """The scaled logits; also of a map (B, K, H, W)."""
        return logits_BK * self.factor

    def extra_repr(self) -> str:
        """The factor, for `print(net)`."""
        return f"{self.factor}"

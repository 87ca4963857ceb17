"""MixUp and CutMix: mix training images and targets in pairs.

Each sample has a separately drawn share, a pure function of (seed, epoch, sample). Its partner is the
next sample of the batch in a randomly drawn order. The partner depends only on the set of samples in
the batch of a process, not on their positions. A run is therefore reproducible and resumable to the
bit, but another batch size or number of processes gives other pairs.

    mixup = MixUp(alpha=1.0)
    images_BCHW, targets_BK = mixup(images_BCHW, labels_B, Draws(seed, epoch, ids_B), num_classes=10)
"""

import math
from functools import lru_cache
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from vgg_lit.data.draws import Draws, positions
from vgg_lit.data.erasing import rectangles
from vgg_lit.errors import InputError

_STEPS = 4096  # intervals in the table of quantiles


@runtime_checkable
class Mixing(Protocol):
    """A callable that mixes the images and labels of a training batch."""

    def __call__(
        self, images_BCHW: Tensor, labels_B: Tensor, draws: Draws, num_classes: int
    ) -> tuple[Tensor, Tensor]:
        """Returns images on the 0..255 scale and class probabilities (B, K)."""


class MixUp:
    """The weighted mean of an image and its partner, and of their targets.

    Args:
        alpha: parameter of the weight's distribution, Beta(alpha, alpha); 1 is uniform, smaller values
            mix less.

    Source: Zhang et al. 2018, "mixup: Beyond empirical risk minimization", section 2. The weight is
    drawn per sample here, per batch in the paper.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = _checked(alpha)

    def __call__(
        self, images_BCHW: Tensor, labels_B: Tensor, draws: Draws, num_classes: int
    ) -> tuple[Tensor, Tensor]:
        """Returns float32 images and class probabilities (B, K)."""
        share_B = beta(self.alpha, draws.uniform("mixup share"))
        partner_B = _partners(draws)
        share = share_B[:, None, None, None]
        mixed = images_BCHW * share + images_BCHW[partner_B] * (1 - share)
        return mixed, _targets(labels_B, partner_B, share_B, num_classes)


class CutMix:
    """Pastes a rectangle from the partner into an image; mixes targets in proportion to the areas.

    Args:
        alpha: parameter of the distribution of the kept share, Beta(alpha, alpha); 1 is uniform.

    Source: Yun et al. 2019, "CutMix: Regularization strategy to train strong classifiers with
    localizable features", section 3.2. Share and rectangle are drawn per sample here, per batch in
    the paper.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = _checked(alpha)

    def __call__(
        self, images_BCHW: Tensor, labels_B: Tensor, draws: Draws, num_classes: int
    ) -> tuple[Tensor, Tensor]:
        """Returns images of the same dtype and class probabilities (B, K)."""
        height, width = images_BCHW.shape[-2:]
        inside = rectangles(draws.each(self._edges, height, width), height, width)
        share_B = draws.each(self._shares, height, width)
        partner_B = _partners(draws)
        mixed = torch.where(inside, images_BCHW[partner_B], images_BCHW)
        return mixed, _targets(labels_B, partner_B, share_B, num_classes)

    def _edges(self, draws: Draws, height: int, width: int) -> Tensor:
        """Returns the edges of each sample's rectangle, as in `rectangles`: (B, 4)."""
        side_B = (1 - beta(self.alpha, draws.uniform("cutmix share"))).sqrt()
        rows_B, columns_B = (side_B * height).round(), (side_B * width).round()
        # the centre may be anywhere; at an edge the rectangle is clipped
        top_B = (draws.uniform("cutmix row") * height - rows_B / 2).round()
        left_B = (draws.uniform("cutmix column") * width - columns_B / 2).round()
        return torch.stack([top_B, left_B, top_B + rows_B, left_B + columns_B], dim=1)

    def _shares(self, draws: Draws, height: int, width: int) -> Tensor:
        """Returns the share of each sample's image that is kept (B,)."""
        edges_B4 = self._edges(draws, height, width)
        # edges are whole numbers, so the area is exact
        rows_B2 = edges_B4[:, ::2].clamp(0, height)
        columns_B2 = edges_B4[:, 1::2].clamp(0, width)
        area_B = (rows_B2[:, 1] - rows_B2[:, 0]) * (columns_B2[:, 1] - columns_B2[:, 0])
        return 1 - area_B / (height * width)


def beta(alpha: float, uniform_B: Tensor) -> Tensor:
    """Converts uniform draws to Beta(alpha, alpha) by interpolation in a table of quantiles."""
    if alpha == 1:
        return uniform_B
    table = _quantiles(alpha, uniform_B.device)
    # the distribution is symmetric: the table of the lower half gives both halves
    position_B = torch.minimum(uniform_B, 1 - uniform_B) * (2 * _STEPS)
    below_B = position_B.long().clamp(max=_STEPS - 1)
    root_B = table[below_B].lerp(table[below_B + 1], position_B - below_B)
    lower_B = root_B ** (1 / alpha)
    return torch.where(uniform_B < 0.5, lower_B, 1 - lower_B)


@lru_cache
def _quantiles(alpha: float, device: torch.device) -> Tensor:
    """Returns x ** alpha for the quantiles x of Beta(alpha, alpha) in 0 .. 1/2; once per device.

    The substitution s = x ** alpha removes the pole of the density (x (1 - x)) ** (alpha - 1) at 0.
    The smooth distribution is then integrated by the midpoint rule and inverted by interpolation.
    """
    edges = torch.linspace(0, 0.5**alpha, 16 * _STEPS + 1, dtype=torch.float64)
    middles = (edges[1:] + edges[:-1]) / 2
    masses = (1 - middles ** (1 / alpha)) ** (alpha - 1)
    distribution = torch.cat([torch.zeros(1), masses.cumsum(0)]) / (2 * masses.sum())
    wanted = torch.linspace(0, 0.5, _STEPS + 1, dtype=torch.float64)
    above = torch.searchsorted(distribution, wanted).clamp(1, len(edges) - 1)
    low, high = distribution[above - 1], distribution[above]
    quantiles = edges[above - 1].lerp(edges[above], (wanted - low) / (high - low))
    return quantiles.to(device, torch.float32)


def _checked(alpha: float) -> float:
    if not 0 < alpha < math.inf:
        raise InputError(f"alpha={alpha}: must be above 0 and finite")
    return alpha


def _partners(draws: Draws) -> Tensor:
    """Returns the position of each sample's partner (B,): the next in a drawn cyclic order."""
    order_B = draws.order("partner")
    return torch.empty_like(order_B).scatter_(0, order_B, order_B.roll(-1))


def _targets(labels_B: Tensor, partner_B: Tensor, share_B: Tensor, num_classes: int) -> Tensor:
    """Returns (B, K) float32: `share` for the sample's class, the rest for its partner's class."""
    classes_K = positions(num_classes, labels_B.device)
    own_BK = (labels_B[:, None] == classes_K).float()
    return own_BK * share_B[:, None] + own_BK[partner_B] * (1 - share_B[:, None])

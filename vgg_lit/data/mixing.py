"""Training images and targets mixed by pairs.

Each sample's share is a draw of its own, a pure function of (seed, epoch, sample). Its partner is the
next in the batch in an order that is drawn as well: it depends on which samples are together in the
batch of a process, and on nothing else, such as their positions in it. So a run is reproducible and
resumable to the bit, but mixes other pairs with another batch size or number of processes.

    mixup = MixUp(alpha=1.0)
    images_BCHW, targets_BK = mixup(images_BCHW, labels_B, Draws(seed, epoch, ids_B), num_classes=10)
"""

import math
from functools import lru_cache
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from vgg_lit.data.draws import Draws
from vgg_lit.data.erasing import rectangles
from vgg_lit.errors import InputError

_STEPS = 4096  # of the tabulated quantiles


@runtime_checkable
class Mixing(Protocol):
    """What mixes the images of a training batch and their labels."""

    def __call__(
        self, images_BCHW: Tensor, labels_B: Tensor, draws: Draws, num_classes: int
    ) -> tuple[Tensor, Tensor]:
        """Images in the scale of 0..255 and class probabilities (B, K)."""


class MixUp:
    """The weighted mean of an image and its partner, and of their targets.

    Args:
        alpha: of the weight's distribution, Beta(alpha, alpha); 1 is uniform, smaller mixes less.

    Source: Zhang et al. 2018, "mixup: Beyond empirical risk minimization", section 2; the weight is
    drawn per sample, there per batch.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = _checked(alpha)

    def __call__(
        self, images_BCHW: Tensor, labels_B: Tensor, draws: Draws, num_classes: int
    ) -> tuple[Tensor, Tensor]:
        """float32 images and class probabilities (B, K)."""
        share_B = beta(self.alpha, draws.uniform("mixup share"))
        partner_B = _partners(draws)
        share = share_B[:, None, None, None]
        mixed = images_BCHW * share + images_BCHW[partner_B] * (1 - share)
        return mixed, _targets(labels_B, partner_B, share_B, num_classes)


class CutMix:
    """An image with a rectangle from its partner, and targets in the proportion of their areas.

    Args:
        alpha: of the distribution of the share that stays, Beta(alpha, alpha); 1 is uniform.

    Source: Yun et al. 2019, "CutMix: Regularization strategy to train strong classifiers with
    localizable features", section 3.2; share and rectangle are drawn per sample, there per batch.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = _checked(alpha)

    def __call__(
        self, images_BCHW: Tensor, labels_B: Tensor, draws: Draws, num_classes: int
    ) -> tuple[Tensor, Tensor]:
        """Images of their own type and class probabilities (B, K)."""
        height, width = images_BCHW.shape[-2:]
        side_B = (1 - beta(self.alpha, draws.uniform("cutmix share"))).sqrt()
        rows_B, columns_B = (side_B * height).round(), (side_B * width).round()
        # the centre is anywhere: at an edge the rectangle loses what lies outside
        top_B = (draws.uniform("cutmix row") * height - rows_B / 2).round()
        left_B = (draws.uniform("cutmix column") * width - columns_B / 2).round()
        inside = rectangles(top_B, left_B, rows_B, columns_B, height, width)
        partner_B = _partners(draws)
        mixed = torch.where(inside, images_BCHW[partner_B], images_BCHW)
        share_B = 1 - inside.sum((1, 2, 3)) / (height * width)
        return mixed, _targets(labels_B, partner_B, share_B, num_classes)


def beta(alpha: float, uniform_B: Tensor) -> Tensor:
    """Beta(alpha, alpha) draws from uniform ones: quantiles, interpolated in a table."""
    if alpha == 1:
        return uniform_B
    table = _quantiles(alpha, uniform_B.device)
    # both halves from the table of the lower one
    position_B = torch.minimum(uniform_B, 1 - uniform_B) * (2 * _STEPS)
    below_B = position_B.long().clamp(max=_STEPS - 1)
    root_B = table[below_B].lerp(table[below_B + 1], position_B - below_B)
    lower_B = root_B ** (1 / alpha)
    return torch.where(uniform_B < 0.5, lower_B, 1 - lower_B)


@lru_cache
def _quantiles(alpha: float, device: torch.device) -> Tensor:
    """Powers x ** alpha of the quantiles 0 .. 1/2 of Beta(alpha, alpha); made once a device.

    With s = x ** alpha the density (x (1 - x)) ** (alpha - 1) loses its pole at 0, and the
    distribution becomes smooth: it is summed up by the midpoint rule and inverted by interpolation.
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
        raise InputError(f"alpha={alpha}: above 0")
    return alpha


def _partners(draws: Draws) -> Tensor:
    """(B,) positions: of the next sample in a drawn order, of the last one the first."""
    order_B = draws.order("partner")
    return order_B.roll(-1)[order_B.argsort()]


def _targets(labels_B: Tensor, partner_B: Tensor, share_B: Tensor, num_classes: int) -> Tensor:
    """(B, K) float32: `share` of the own class, the rest of the partner's."""
    classes_K = torch.arange(num_classes, device=labels_B.device)
    own_BK = (labels_B[:, None] == classes_K).float()
    return own_BK * share_B[:, None] + own_BK[partner_B] * (1 - share_B[:, None])

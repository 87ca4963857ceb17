"""PCA colour augmentation: shifts each sample along the principal components of the pixels."""

from functools import lru_cache

import torch
from torch import Tensor

from vgg_lit.data.draws import Draws
from vgg_lit.data.statistics import ChannelStatistics, principal_components
from vgg_lit.errors import InputError


class ColourShift:
    """Adds sum_i p_i alpha_i lambda_i to every pixel of an image; alpha_i is normal, per sample.

    p_i and lambda_i are the eigenvectors and eigenvalues of the covariance of the training pixels in
    0..1; the paper does not state their scale. The result is neither rounded nor clamped, as if
    normalised pixels were shifted. Grey images have one component, brightness, whose eigenvalue is
    the variance of the pixels.

    Args:
        std: standard deviation of alpha.

    Source: Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks",
    section 4.1.
    """

    def __init__(self, std: float = 0.1) -> None:
        if std < 0:
            raise InputError(f"std={std}: must be 0 or more")
        self.std = std
        self._covariance: tuple[tuple[float, ...], ...] | None = None

    def prepare(self, size: int, statistics: ChannelStatistics) -> None:
        """Stores the covariance of the training pixels."""
        self._covariance = statistics.covariance

    def __call__(self, images_BCHW: Tensor, draws: Draws) -> Tensor:
        """Returns float32 images on the 0..255 scale, not clamped to it."""
        assert self._covariance is not None
        shift_BC = draws.each(self._shifts)
        return images_BCHW + shift_BC[:, :, None, None]

    def _shifts(self, draws: Draws) -> Tensor:
        """Returns the shift of each sample's channels, float32 (B, C)."""
        assert self._covariance is not None
        shift_BC = torch.zeros(1, device=draws.ids.device)
        components = _components(self._covariance, draws.ids.device)
        for index, component_C in enumerate(components):
            alpha_B = self.std * draws.normal(f"colour component {index}")
            shift_BC = shift_BC + alpha_B[:, None] * component_C
        return shift_BC


@lru_cache
def _components(
    covariance: tuple[tuple[float, ...], ...], device: torch.device
) -> tuple[Tensor, ...]:
    """Returns p_i lambda_i on the 0..255 scale, each (C,); computed once per device."""
    values, vectors = principal_components(covariance)
    return tuple(torch.tensor(255 * vectors * values, dtype=torch.float32).T.to(device))

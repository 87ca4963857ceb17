"""A shift of each sample's colour along the principal components of the training pixels."""

from functools import lru_cache

import torch
from torch import Tensor

from vgg_lit.data.draws import Draws
from vgg_lit.data.statistics import ChannelStatistics, principal_components
from vgg_lit.errors import InputError


class ColourShift:
    """Adds sum_i p_i alpha_i lambda_i to every pixel of an image, alpha_i normal and drawn per sample.

    p_i and lambda_i are the eigenvectors and eigenvalues of the covariance of the training pixels in
    0..1; the paper leaves their scale open. Nothing is rounded or cut off at black and white, as with
    a shift of normalised pixels. Grey images have one component, their brightness, whose eigenvalue
    is the variance of the pixels.

    Args:
        std: deviation of alpha.

    Source: Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks",
    section 4.1.
    """

    def __init__(self, std: float = 0.1) -> None:
        if std < 0:
            raise InputError(f"std={std}: 0 or more")
        self.std = std
        self._covariance: tuple[tuple[float, ...], ...] | None = None

    def prepare(self, size: int, statistics: ChannelStatistics) -> None:
        """Takes the covariance of the training pixels."""
        self._covariance = statistics.covariance

    def __call__(self, images_BCHW: Tensor, draws: Draws) -> Tensor:
        """float32 images, still in the scale of 0..255 but not kept within it."""
        assert self._covariance is not None
        shift_BC = torch.zeros_like(images_BCHW[:, :, 0, 0], dtype=torch.float32)
        components = _components(self._covariance, images_BCHW.device)
        for index, component_C in enumerate(components):
            alpha_B = self.std * draws.normal(f"colour component {index}")
            shift_BC = shift_BC + alpha_B[:, None] * component_C
        return images_BCHW + shift_BC[:, :, None, None]


@lru_cache
def _components(
    covariance: tuple[tuple[float, ...], ...], device: torch.device
) -> tuple[Tensor, ...]:
    """p_i lambda_i in the scale of 0..255, each (C,); made once a device."""
    values, vectors = principal_components(covariance)
    return tuple(torch.tensor(255 * vectors * values, dtype=torch.float32).T.to(device))

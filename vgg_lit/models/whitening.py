"""A first layer with fixed filters that whiten patches of the training images.

    net = build(plan, batch_norm=True, whitening=2)
    whiten(net, x_BCHW)  # normalised training images: sets the filters

The filters are the eigenvectors of the covariance of all k x k patches, each divided by the root of
its eigenvalue, followed by their negatives. Their outputs are uncorrelated and of variance 1, so that
the layers behind them learn equally fast in all directions. The filters do not train; the bias does.

Source: Page 2019, "How to train your ResNet 8: bag of tricks" (patch whitening); Keller Jordan 2024,
https://arxiv.org/abs/2404.00498 (negatives, bias).

Shape suffixes: B images, C channels, H and W pixels, K side of a patch, D values of a patch (C K K),
O filters.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

EPS = 5e-4
"""Added to each eigenvalue, so that directions without variance are not blown up to noise."""

NUM_IMAGES = 5_000
"""Training images that the covariance is measured on."""


def whitening_layer(in_channels: int, side: int) -> nn.Conv2d:
    """Returns the layer, whose filters `whiten` sets: no padding, 2 C k^2 filters, frozen weight."""
    layer = nn.Conv2d(in_channels, 2 * in_channels * side**2, side)
    layer.weight.requires_grad_(False)
    return layer


def whitens(net: nn.Module) -> bool:
    """Returns True if the network has a whitening layer."""
    layers = getattr(net, "layers", None)
    return bool(getattr(layers, "whitening", None))


def whiten(net: nn.Module, batches: Iterable[Tensor]) -> None:
    """Sets the filters of the network's whitening layer from normalised images, in place.

    Args:
        net: a VGG with `whitening`.
        batches: images (B, C, H, W) of the training split.
    """
    layer = net.get_submodule("features.0")
    assert whitens(net)
    assert isinstance(layer, nn.Conv2d)
    with torch.no_grad():
        layer.weight.copy_(whitening_filters(batches, layer.kernel_size[0]))


def whitening_filters(batches: Iterable[Tensor], side: int, eps: float = EPS) -> Tensor:
    """Returns the filters (O, C, K, K) in float64, of the greatest variance first, then their negatives.

    Args:
        batches: images (B, C, H, W).
        side: side of a patch, pixels.
        eps: added to each eigenvalue.
    """
    count, sums_D, products_DD = 0, torch.zeros(()), torch.zeros(())
    for images_BCHW in batches:
        windows_BCHWKK = images_BCHW.unfold(2, side, 1).unfold(3, side, 1)
        patches_PD = windows_BCHWKK.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2).double()
        count += len(patches_PD)
        sums_D = sums_D + patches_PD.sum(0)
        products_DD = products_DD + patches_PD.T @ patches_PD
    mean_D = sums_D / count
    covariance_DD = products_DD / count - mean_D.outer(mean_D)
    values_D, vectors_DD = torch.linalg.eigh(covariance_DD.cpu())
    values_D, vectors_DD = values_D.flip(0).clamp_min(0), vectors_DD.flip(1).T
    # An eigenvector has either sign: its first large component is made positive. The largest would not
    # do, since many of these vectors have several of the same size.
    sizes_DD = vectors_DD.abs()
    is_large_DD = sizes_DD > 0.5 * sizes_DD.amax(1, keepdim=True)
    first_D = is_large_DD.int().argmax(1, keepdim=True)
    vectors_DD = vectors_DD * vectors_DD.gather(1, first_D).sign()
    scaled_DD = vectors_DD / (values_D + eps).sqrt()[:, None]
    return torch.cat([scaled_DD, -scaled_DD]).unflatten(1, (-1, side, side))

"""Convolutions as matrix products train like the library's convolutions."""

import pytest
import torch
from torch.nn import functional as F

from vgg_lit.data import FashionMNISTSample
from vgg_lit.data.draws import permutation
from vgg_lit.models import build
from vgg_lit.models.gemm_conv import lower_small_maps

BATCH = 32


def losses(variant, mode, dtype, lr, steps=50, seed=1):
    """The training loss of each step on real images."""
    torch.manual_seed(seed)
    net = build(variant, num_classes=10, in_channels=1, head="linear", width=0.125).to(dtype)
    lower_small_maps(net.to(memory_format=torch.channels_last), mode)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
    images = FashionMNISTSample().load("train")
    curve = []
    for ids_B in permutation(6000, seed, epoch=0)[: steps * BATCH].split(BATCH):
        x_BCHW = F.pad(images.images_NCHW[ids_B].to(dtype) / 128 - 1, [2] * 4)
        logits_BK = net(x_BCHW.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits_BK, images.labels_N[ids_B])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    return torch.tensor(curve, dtype=torch.float64)


@pytest.mark.parametrize("mode", ["auto", True])
@pytest.mark.parametrize("variant", ["vgg11_bn", "vgg11"])
def test_the_loss_curves_are_equal_in_float64(variant, mode):
    # Rounding errors grow with every step, most of all with batch norm: in float32 the library's two
    # memory layouts differ from each other as much as its convolutions differ from the products.
    library = losses(variant, False, torch.float64, lr=0.01)
    assert library[-5:].mean() < library[:5].mean()  # it does train
    torch.testing.assert_close(
        losses(variant, mode, torch.float64, lr=0.01), library, rtol=0, atol=1e-8
    )


@pytest.mark.parametrize("mode", ["auto", True])
def test_the_loss_curves_differ_only_by_rounding_in_float32(mode):
    # ten steps only: later, a pixel on the other side of a ReLU or a pool separates the curves
    library = losses("vgg11_bn", False, torch.float32, lr=1e-3, steps=10)
    ours = losses("vgg11_bn", mode, torch.float32, lr=1e-3, steps=10)
    torch.testing.assert_close(ours, library, rtol=0, atol=1e-4)

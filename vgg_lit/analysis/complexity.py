"""What a network costs."""

import copy
from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def training_operations(net: nn.Module, image_shape: Sequence[int]) -> float:
    """Operations of one training step an image: forward and backward, a multiply-add counting as two.

    Convolutions and matrix products only, padding included, whatever form computes them; counted on
    the meta device, so that nothing is computed and no random number drawn.

    Args:
        net: any module on images; it is left as it is.
        image_shape: (C, H, W).
    """
    twin = copy.deepcopy(net).to("meta").train()
    batch = 2  # batch norm on 1x1 maps needs more than one
    with FlopCounterMode(display=False) as counter:
        # forward, not the call: a compiled net would compile again
        twin.forward(torch.empty(batch, *image_shape, device="meta")).sum().backward()
    return counter.get_total_flops() / batch

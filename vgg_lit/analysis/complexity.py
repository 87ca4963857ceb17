"""What a network costs."""

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def training_operations(net: nn.Module, image_shape: Sequence[int]) -> float:
    """Operations of one training step an image: forward and backward, a multiply-add counting as two.

    Convolutions and matrix products only, padding included, whatever form computes them; counted on
    the meta device, so that nothing is computed and no random number drawn.

    Args:
        net: any module on images; it is left as it is.
        image_shape: (C, H, W).
    """
    # the copy's tensors are given beforehand: it has none that hold anything
    twin = copy.deepcopy(net, {id(tensor): _on_meta(tensor) for tensor in _tensors(net)}).train()
    batch = 2  # batch norm on 1x1 maps needs more than one
    with FlopCounterMode(display=False) as counter:
        # forward, not the call: a compiled net would compile again
        twin.forward(torch.empty(batch, *image_shape, device="meta")).sum().backward()
    return counter.get_total_flops() / batch


def _tensors(net: nn.Module) -> Iterator[Tensor]:
    yield from net.parameters()
    yield from net.buffers()


def _on_meta(tensor: Tensor) -> Tensor:
    empty = torch.empty_like(tensor, device="meta")
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty

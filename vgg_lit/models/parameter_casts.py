"""All parameters of a step cast to the compute dtype together.

    casts = cast_parameters(net)
    with torch.autocast("cuda", torch.bfloat16), cast_together(casts, torch.bfloat16):
        logits_BK = net(x_BCHW)

Autocast launches a kernel for each weight and bias in the forward pass, and one for each gradient in the
backward pass. Here each direction is one `torch._foreach_copy_`, a few kernels for the whole network. The
values are the same to the bit. All gradients are ready at once, at the end of the backward pass.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vgg_lit.models.gemm_conv import GemmConv2d

Place = tuple[nn.Module, str]
"""A layer, and the name of one of its parameters."""

LAYERS = (nn.Conv2d, GemmConv2d, nn.Linear)
"""Layers that autocast computes in its dtype; subclasses may use their parameters otherwise."""


def cast_parameters(net: nn.Module) -> list[Place]:
    """Returns the parameters that autocast casts."""
    return [
        (module, name)
        for module in net.modules()
        if type(module) in LAYERS
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.dtype == torch.float32
    ]


@contextmanager
def cast_together(places: Sequence[Place], dtype: torch.dtype) -> Iterator[None]:
    """Replaces the trainable ones of these parameters by copies in `dtype`; gradients reach the originals."""
    trained = [(module, name) for module, name in places if getattr(module, name).requires_grad]
    originals = [module._parameters[name] for module, name in trained]
    if originals:
        copies = _CastAll.apply(dtype, *originals)
        for (module, name), copy in zip(trained, copies, strict=True):
            module._parameters[name] = copy
    try:
        yield
    finally:
        for (module, name), original in zip(trained, originals, strict=True):
            module._parameters[name] = original


class _CastAll(torch.autograd.Function):
    """Copies of tensors in another dtype."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(_cast(tensors, dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        cast = iter(_cast([one for one in gradients if one is not None], torch.float32))
        return None, *(None if one is None else next(cast) for one in gradients)


def _cast(tensors: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    copies = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    if copies:
        torch._foreach_copy_(copies, list(tensors))
    return copies

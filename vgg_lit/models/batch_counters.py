"""The batch counters of batch norm, advanced by one kernel for all layers.

Each `nn.BatchNorm2d` counts its training batches, with a kernel launch of 5 microseconds per layer on a
GPU. The count is used only with `momentum=None`, but it is part of the state dict.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

Norm = nn.BatchNorm1d | nn.BatchNorm2d

COUNTER = "num_batches_tracked"


def counting_norms(net: nn.Module) -> list[Norm]:
    """Returns the layers whose counter does not affect their output."""
    return [
        module
        for module in net.modules()
        # not subclasses: SyncBatchNorm needs its counter
        if isinstance(module, Norm)
        and type(module) in (nn.BatchNorm1d, nn.BatchNorm2d)
        and module.num_batches_tracked is not None
        and module.momentum is not None
    ]


@contextmanager
def counted_together(norms: Sequence[Norm]) -> Iterator[None]:
    """Advances the counters of the layers in training mode, and hides them from the forward pass."""
    active = [norm for norm in norms if norm.training]
    counters = [cast(Tensor, norm._buffers[COUNTER]) for norm in active]
    if counters:
        torch._foreach_add_(counters, 1)
    for norm in active:
        norm._buffers[COUNTER] = None
    try:
        yield
    finally:
        for norm, counter in zip(active, counters, strict=True):
            norm._buffers[COUNTER] = counter

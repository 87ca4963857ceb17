"""Activation checkpointing: the maps inside a block are not kept for the backward pass, but made anew.

Of all maps a step keeps one a block, and those of the block it is in; it computes one forward pass
more. The gradient is the same to the bit.

Source: Chen et al. 2016, https://arxiv.org/abs/1604.06174.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def run_blocks(features: nn.Sequential, x_BCHW: Tensor) -> Tensor:
    """`features(x_BCHW)`, of which autograd keeps only what goes from block to block.

    Args:
        features: blocks that each end in a max pool.
        x_BCHW: what the first of them takes.
    """
    for block in _blocks(features):
        contexts: dict[str, Any] = {}
        if not torch.compiler.is_compiling():  # compiled code counts once as it is
            contexts["context_fn"] = partial(_contexts, block)
        x_BCHW = checkpoint(block, x_BCHW, use_reentrant=False, **contexts)
    return x_BCHW


def _blocks(features: nn.Sequential) -> Iterator[nn.Sequential]:
    start = 0
    for index, module in enumerate(features, 1):
        if isinstance(module, nn.MaxPool2d):
            yield features[start:index]
            start = index
    if start < len(features):  # where the pool does not end its block
        yield features[start:]


def _contexts(
    block: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """What the first forward pass runs in, and the second."""
    return nullcontext(), _statistics_kept(block)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Lets batch norm count the same batch a second time into copies of its running statistics."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    kept = [(norm, name, buffer) for norm in norms for name, buffer in norm.named_buffers()]
    for norm, name, buffer in kept:
        setattr(norm, name, buffer.clone())
    try:
        yield
    finally:
        for norm, name, buffer in kept:
            setattr(norm, name, buffer)

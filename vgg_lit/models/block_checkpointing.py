"""Activation checkpointing: the backward pass recomputes the maps inside a block.

A step keeps one map per block and the maps of the current block, at the cost of one more forward
pass. The gradient is the same to the bit.

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
    """Returns `features(x_BCHW)`; autograd keeps only the maps between blocks.

    Args:
        features: blocks that each end in a max pool.
        x_BCHW: input of the first block.
    """
    for block in _blocks(features):
        contexts: dict[str, Any] = {}
        if not torch.compiler.is_compiling():  # compiled code updates the statistics only once
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
    """Returns the context managers of the first and the second forward pass."""
    return nullcontext(), _statistics_kept(block)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Replaces the running statistics of batch norm by copies while the batch is computed again."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    kept = [(norm, name, buffer) for norm in norms for name, buffer in norm.named_buffers()]
    for norm, name, buffer in kept:
        setattr(norm, name, buffer.clone())
    try:
        yield
    finally:
        for norm, name, buffer in kept:
            setattr(norm, name, buffer)

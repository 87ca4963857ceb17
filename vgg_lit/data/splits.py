"""Stratified subsets: each class keeps its share; samples are drawn by seed and sample id."""

import torch
from torch import Tensor

from vgg_lit.data import draws


def stratified_subset(labels_N: Tensor, ids_N: Tensor, size: int, seed: int, stream: str) -> Tensor:
    """Returns a boolean mask (N,) of `size` samples in which every class keeps its share.

    Shares are exact to within one sample. Each class contributes the samples with the smallest
    draws, so a larger subset contains a smaller one of the same stream, to within one sample per
    class.
    """
    assert 0 <= size <= len(labels_N)
    counts = torch.bincount(labels_N)
    quotas = _shares(counts.tolist(), size)
    order = torch.argsort(draws.uniform(seed, 0, ids_N, stream), stable=True)
    order = order[torch.argsort(labels_N[order], stable=True)]  # by class, then by draw
    firsts = (counts.cumsum(0) - counts).tolist()
    mask = torch.zeros(len(labels_N), dtype=torch.bool)
    for first, quota in zip(firsts, quotas, strict=True):
        mask[order[first : first + quota]] = True
    return mask


def _shares(counts: list[int], size: int) -> list[int]:
    """Returns integers proportional to `counts` with sum `size`; the largest remainders round up."""
    total = max(1, sum(counts))
    shares = [count * size // total for count in counts]
    remainders = [count * size % total for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda label: -remainders[label])
    for label in by_remainder[: size - sum(shares)]:
        shares[label] += 1
    return shares

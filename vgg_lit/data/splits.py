"""Stratified subsets: each class keeps its share; samples are drawn by seed and sample id."""

import torch
from torch import Tensor

from vgg_lit.data import draws


def stratified_subset(
    labels_N: Tensor,
    ids_N: Tensor,
    size: int,
    seed: int,
    stream: str,
    at_least: int = 0,
    keep: int = 0,
) -> Tensor:
    """Returns a boolean mask (N,) of `size` samples in which every class keeps its share.

    Shares are exact to within one sample. Each class contributes the samples with the smallest
    draws, so a larger subset contains a smaller one of the same stream, to within one sample per
    class. If there are fewer samples than classes, the draws also select the classes.

    Args:
        labels_N: label of each sample.
        ids_N: id of each sample; keys its draw.
        size: number of samples in the subset; `at_least` may raise it and `keep` may lower it.
        seed: seed of the draws.
        stream: name of the draws.
        at_least: samples of each class that are in the subset, as far as `keep` allows.
        keep: samples of each class that are not in the subset.
    """
    assert 0 <= size <= len(labels_N)
    counts = torch.bincount(labels_N)
    draws_N = draws.uniform(seed, 0, ids_N, stream)
    order = torch.argsort(draws_N, stable=True)
    order = order[torch.argsort(labels_N[order], stable=True)]  # by class, then by draw
    firsts = (counts.cumsum(0) - counts).tolist()
    smallest = [
        float(draws_N[order[first]]) if count else 1.0
        for first, count in zip(firsts, counts.tolist(), strict=True)
    ]
    quotas = _shares(counts.tolist(), size, smallest)
    mask = torch.zeros(len(labels_N), dtype=torch.bool)
    for first, count, quota in zip(firsts, counts.tolist(), quotas, strict=True):
        taken = max(0, min(max(quota, at_least), count - keep))
        mask[order[first : first + taken]] = True
    return mask


def _shares(counts: list[int], size: int, smallest: list[float]) -> list[int]:
    """Returns integers proportional to `counts` with sum `size`; the largest remainders round up.

    Of equal remainders, classes without a share round up first, in the order of their smallest draws.
    """
    total = max(1, sum(counts))
    shares = [count * size // total for count in counts]
    remainders = [count * size % total for count in counts]

    def place(label: int) -> tuple[int, float]:
        return -remainders[label], 1.0 if shares[label] else smallest[label]

    for label in sorted(range(len(counts)), key=place)[: size - sum(shares)]:
        shares[label] += 1
    return shares

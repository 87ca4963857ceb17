"""Subsets of a split, drawn by seed and sample: stratified ones, and ones that added images do not move.

`stratified_subset` gives each class its exact share, so that an added sample may displace another one.
`stable_subset` decides for each sample alone: added samples move no others, and shares vary by chance.
`stratified_folds` divides all samples into folds with exact shares.
"""

import hashlib
import os
from collections.abc import Sequence

import torch
from torch import Tensor

from vgg_lit.data import draws

TEST_SEED = 0
"""The seed of test splits: not that of the run, because the test images must never change."""


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
    order = _by_class_and_draw(labels_N, draws_N)
    firsts = (counts.cumsum(0) - counts).tolist()
    smallest = [
        float(draws_N[order[first]]) if count else 1.0
        for first, count in zip(firsts, counts.tolist(), strict=True)
    ]
    quotas = _shares(counts.tolist(), size, smallest)
    return _smallest_draws(labels_N, order, quotas, at_least, keep)


def stable_subset(
    labels_N: Tensor,
    keys_N: Tensor,
    fraction: float,
    seed: int,
    stream: str,
    at_least: int = 0,
    keep: int = 0,
) -> Tensor:
    """Returns a boolean mask (N,) of about a fraction of the samples, each drawn by its key alone.

    Added samples therefore move no others, except in classes that the bounds apply to. Each class has its
    share to within chance. If the fraction rounds to one sample or more, the subset is not empty.

    Args:
        labels_N: label of each sample.
        keys_N: key of each sample, such as those of `name_keys`.
        fraction: share of the samples in the subset, 0 <= fraction < 1.
        seed: seed of the draws.
        stream: name of the draws.
        at_least: samples of each class that are in the subset, as far as `keep` allows.
        keep: samples of each class that are not in the subset.
    """
    draws_N = draws.uniform(seed, 0, keys_N, stream)
    counts = torch.bincount(labels_N)
    quotas = torch.bincount(labels_N[draws_N < fraction], minlength=len(counts))
    order = _by_class_and_draw(labels_N, draws_N)
    mask = _smallest_draws(labels_N, order, quotas.tolist(), at_least, keep)
    if not mask.any() and round(fraction * len(labels_N)) > 0:
        can_give_N = counts[labels_N] > keep
        if can_give_N.any():
            mask[torch.where(can_give_N, draws_N, 2.0).argmin()] = True
    return mask


def name_keys(names: Sequence[str]) -> Tensor:
    """Returns keys (N,) for `stable_subset`: hashes of file names or other texts."""
    digests = (hashlib.sha256(os.fsencode(name)).digest() for name in names)
    return torch.tensor([int.from_bytes(digest[:7], "big") for digest in digests])


def _smallest_draws(
    labels_N: Tensor, order: Tensor, quotas: Sequence[int], at_least: int, keep: int
) -> Tensor:
    """Returns the mask of the first samples of each class, as many as its quota within the bounds."""
    counts = torch.bincount(labels_N)
    firsts = (counts.cumsum(0) - counts).tolist()
    mask = torch.zeros(len(labels_N), dtype=torch.bool)
    for first, count, quota in zip(firsts, counts.tolist(), quotas, strict=True):
        taken = max(0, min(max(quota, at_least), count - keep))
        mask[order[first : first + taken]] = True
    return mask


def stratified_folds(labels_N: Tensor, ids_N: Tensor, folds: int, seed: int) -> Tensor:
    """Returns the fold (N,) of each sample, 0 <= fold < folds, a function of its id, label and the seed.

    Each sample is in one fold. The sizes of the folds, and those of a class in the folds, differ by at
    most one.

    Args:
        labels_N: label of each sample.
        ids_N: id of each sample; keys its draw.
        folds: number of folds.
        seed: seed of the draws.
    """
    by_id = torch.argsort(ids_N)  # so that equal draws do not depend on positions
    draws_N = draws.uniform(seed, 0, ids_N[by_id], "folds")
    order = by_id[_by_class_and_draw(labels_N[by_id], draws_N)]
    folds_N = torch.empty(len(labels_N), dtype=torch.int64)
    folds_N[order] = torch.arange(len(labels_N)) % folds
    return folds_N


def _by_class_and_draw(labels_N: Tensor, draws_N: Tensor) -> Tensor:
    order = torch.argsort(draws_N, stable=True)
    return order[torch.argsort(labels_N[order], stable=True)]


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

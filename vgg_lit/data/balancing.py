"""An order of an epoch in which each class is visited equally often.

The order is a pure function of seed and epoch. An epoch has as many visits as there are images: small
classes repeat their images, large classes show another part of them in each epoch.
"""

import torch
from torch import Tensor

from vgg_lit.data.draws import permutation, uniform

REPEAT = 1 << 32
"""Added to the position of an image for each earlier visit in the epoch."""


def balanced_order(labels_M: Tensor, seed: int, epoch: int) -> Tensor:
    """Returns M positions (int64): every class equally often, to within one visit.

    Within a class, the numbers of visits of two images differ by at most one.

    Args:
        labels_M: labels of the images.
        seed: seed of the run.
        epoch: epoch, counted from 0.
    """
    counts = torch.bincount(labels_M)
    present = counts.nonzero().flatten()
    visits = torch.full_like(present, len(labels_M) // len(present))
    # the classes that get one of the remaining visits change from epoch to epoch
    lucky = permutation(len(present), seed, epoch, "balanced classes")
    visits[lucky[: len(labels_M) % len(present)]] += 1
    by_draw = torch.argsort(
        uniform(seed, epoch, torch.arange(len(labels_M)), "balanced images"), stable=True
    )
    by_class = by_draw[torch.argsort(labels_M[by_draw], stable=True)]
    parts = []
    for images, visits_of_class in zip(
        by_class.split(counts[present].tolist()), visits.tolist(), strict=True
    ):
        turn = torch.arange(visits_of_class)
        parts.append(images[turn % len(images)] + REPEAT * (turn // len(images)))
    positions = torch.cat(parts)
    return positions[permutation(len(positions), seed, epoch)]

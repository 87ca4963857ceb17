"""Learning rate schedules in Lightning's format.

A schedule is a function that takes the optimiser and the run's `Steps` and returns Lightning's
`lr_scheduler_config`, so that the interval and the monitored metric are always correct. `optimizer.lr` is
the peak of the schedule.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, MultiStepLR, ReduceLROnPlateau, StepLR


@dataclass(frozen=True)
class Steps:
    """The length of a run.

    Attributes:
        total: optimiser steps in the whole run.
        per_epoch: optimiser steps in an epoch.
        has_validation: True if `val/acc` can be monitored.
    """

    total: int
    per_epoch: int
    has_validation: bool = True


def constant(optimizer: Optimizer, steps: Steps) -> None:
    """Returns a constant learning rate."""


def one_cycle(
    optimizer: Optimizer,
    steps: Steps,
    warmup_fraction: float = 0.3,
    start_factor: float = 0.04,
    end_factor: float = 4e-6,
) -> dict[str, Any]:
    """Returns a half cosine up to the optimiser's rate, then a half cosine down, by step.

    Args:
        optimizer: optimiser; its learning rate is the peak.
        steps: length of the run.
        warmup_fraction: share of the run before the peak, in (0, 1).
        start_factor: first rate as a fraction of the peak, in (0, 1].
        end_factor: last rate as a fraction of the peak, in (0, 1].

    Source: Smith & Topin 2018, Super-Convergence; momentum is not changed.
    """
    check_range("warmup_fraction", warmup_fraction, above=0, below=1)
    check_range("start_factor", start_factor, above=0, at_most=1)
    check_range("end_factor", end_factor, above=0, at_most=1)
    # Not torch's OneCycleLR: it divides by zero if the peak is the first step, and raises an error at
    # the old length if a run is resumed with more epochs.
    peak = max(0.0, warmup_fraction * steps.total - 1)
    last = steps.total - 1

    def factor(step: int) -> float:
        if step < peak:
            return _half_cosine(start_factor, 1.0, step / peak)
        if last <= peak:
            return 1.0
        return _half_cosine(1.0, end_factor, min(1.0, (step - peak) / (last - peak)))

    return _every_step(LambdaLR(optimizer, factor))


def cosine(
    optimizer: Optimizer, steps: Steps, warmup_fraction: float = 0.0, end_factor: float = 0.0
) -> dict[str, Any]:
    """Returns a linear warm-up, then a half cosine down to `end_factor` times the rate, by step.

    Source: Loshchilov & Hutter 2017, SGDR, without restarts.
    """
    check_range("warmup_fraction", warmup_fraction, at_least=0, below=1)
    check_range("end_factor", end_factor, at_least=0, at_most=1)
    warmup = round(steps.total * warmup_fraction)

    def falling(step: int) -> float:
        progress = min(1.0, step / max(1, steps.total - warmup))
        return _half_cosine(1.0, end_factor, progress)

    return _every_step(LambdaLR(optimizer, _after_warm_up(warmup, falling)))


def linear(
    optimizer: Optimizer, steps: Steps, warmup_fraction: float = 0.0, end_factor: float = 0.0
) -> dict[str, Any]:
    """Returns a linear warm-up, then a straight line down to `end_factor` times the rate, by step.

    A group with `epochs` (see `build_optimizer`) goes down to 0 over that many epochs.

    Source: Keller Jordan 2024, https://arxiv.org/abs/2404.00498.
    """
    check_range("warmup_fraction", warmup_fraction, at_least=0, below=1)
    check_range("end_factor", end_factor, at_least=0, at_most=1)
    warmup = round(steps.total * warmup_fraction)

    def factor_until(total: int, last: float) -> Callable[[int], float]:
        def falling(step: int) -> float:
            return 1 + (last - 1) * min(1.0, step / max(1, total - warmup))

        return _after_warm_up(warmup, falling)

    factors = [
        factor_until(min(steps.total, group["epochs"] * steps.per_epoch), 0.0)
        if "epochs" in group
        else factor_until(steps.total, end_factor)
        for group in optimizer.param_groups
    ]
    return _every_step(LambdaLR(optimizer, factors))


def polynomial(
    optimizer: Optimizer,
    steps: Steps,
    warmup_fraction: float = 0.0,
    power: float = 2.0,
    end_factor: float = 0.0,
    final_fraction: float = 0.0,
) -> dict[str, Any]:
    """Returns a linear warm-up, then down to `end_factor` times the rate as a power of the rest, by step.

    Args:
        optimizer: optimiser; its learning rate is the peak.
        steps: length of the run.
        warmup_fraction: share of the run before the peak.
        power: exponent; 1 is a straight line, 2 a parabola.
        end_factor: last rate as a fraction of the peak.
        final_fraction: share of the run at its end with the last rate, as averages of weights need.

    Source: Chen et al. 2017, DeepLab, section 4.1, https://arxiv.org/abs/1606.00915 ("poly").
    """
    check_range("warmup_fraction", warmup_fraction, at_least=0, below=1)
    check_range("power", power, above=0)
    check_range("end_factor", end_factor, at_least=0, at_most=1)
    check_range("final_fraction", final_fraction, at_least=0, below=1)
    if warmup_fraction + final_fraction >= 1:
        raise ValueError(f"final_fraction={final_fraction}: leaves no steps after the warm-up")
    warmup = round(steps.total * warmup_fraction)
    length = max(1, steps.total - warmup - round(steps.total * final_fraction))

    def falling(step: int) -> float:
        rest = 1 - min(1.0, step / length)
        return end_factor + (1 - end_factor) * rest**power

    return _every_step(LambdaLR(optimizer, _after_warm_up(warmup, falling)))


def cosine_restarts(
    optimizer: Optimizer,
    steps: Steps,
    warmup_fraction: float = 0.0,
    end_factor: float = 0.0,
    cycles: int = 3,
    length_factor: float = 2.0,
) -> dict[str, Any]:
    """Returns a linear warm-up, then half cosines down to `end_factor` times the rate, by step.

    Args:
        optimizer: optimiser; its learning rate is the peak of each cycle.
        steps: length of the run.
        warmup_fraction: share of the run before the first cycle.
        end_factor: last rate of each cycle as a fraction of the peak.
        cycles: number of cycles; the last one ends with the run.
        length_factor: length of each cycle as a multiple of the previous one.

    Source: Loshchilov & Hutter 2017, SGDR, section 3, https://arxiv.org/abs/1608.03983.
    """
    check_range("warmup_fraction", warmup_fraction, at_least=0, below=1)
    check_range("end_factor", end_factor, at_least=0, at_most=1)
    check_range("cycles", cycles, at_least=1)
    check_range("length_factor", length_factor, above=0)
    warmup = round(steps.total * warmup_fraction)
    lengths = [length_factor**cycle for cycle in range(cycles)]
    ends = list(accumulate(length / sum(lengths) for length in lengths))
    starts = [round(end * max(1, steps.total - warmup)) for end in (0.0, *ends)]

    def falling(step: int) -> float:
        cycle = min(bisect_right(starts, step), cycles)
        first, after = starts[cycle - 1], starts[cycle]
        progress = min(1.0, (step - first) / max(1, after - first))
        return _half_cosine(1.0, end_factor, progress)

    return _every_step(LambdaLR(optimizer, _after_warm_up(warmup, falling)))


def step(
    optimizer: Optimizer, steps: Steps, every_epochs: int = 30, factor: float = 0.1
) -> dict[str, Any]:
    """Multiplies the rate by `factor` every `every_epochs` epochs."""
    check_range("every_epochs", every_epochs, at_least=1)
    check_range("factor", factor, above=0, at_most=1)
    return _every_epoch(StepLR(optimizer, step_size=every_epochs, gamma=factor))


def multistep(
    optimizer: Optimizer, steps: Steps, milestones: Sequence[int], factor: float = 0.1
) -> dict[str, Any]:
    """Multiplies the rate by `factor` after each of the epochs in `milestones`."""
    if list(milestones) != sorted(set(milestones)) or any(epoch < 1 for epoch in milestones):
        raise ValueError(f"milestones={list(milestones)}: should be epochs in rising order, from 1")
    check_range("factor", factor, above=0, at_most=1)
    return _every_epoch(MultiStepLR(optimizer, milestones=list(milestones), gamma=factor))


def plateau(
    optimizer: Optimizer,
    steps: Steps,
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: Literal["abs", "rel"] = "abs",
    min_lr: float = 0.0,
) -> dict[str, Any]:
    """Multiplies the rate by `factor` when validation accuracy has not risen for `patience` epochs.

    Without a validation split it monitors the training accuracy; the test set is never used.

    Args:
        optimizer: optimiser; its learning rate is the first.
        steps: length of the run.
        factor: factor on the learning rate, in (0, 1).
        patience: epochs without a rise before the rate is lowered.
        threshold: smallest difference in accuracy, as a fraction, that counts as a rise.
        threshold_mode: "abs"; or "rel": the threshold is a share of the best accuracy.
        min_lr: lower bound on the rate; multiplied by the factor of a layer that has one.

    Source: Simonyan & Zisserman 2015, section 3.1 (divided by 10 when validation accuracy stops
    improving).
    """
    check_range("factor", factor, above=0, below=1)
    check_range("patience", patience, at_least=0)
    check_range("threshold", threshold, at_least=0)
    check_range("min_lr", min_lr, at_least=0)
    schedule = ReduceLROnPlateau(
        optimizer,
        mode="max",
        factor=factor,
        patience=patience,
        threshold=threshold,
        threshold_mode=threshold_mode,
        # the same fraction of the rate in every group
        min_lr=[
            min_lr * group["lr"] / optimizer.defaults["lr"] for group in optimizer.param_groups
        ],
        eps=0.0,
    )
    monitor = "val/acc" if steps.has_validation else "train/acc"
    # not strict: if not every epoch is validated, the first epochs have no metric
    return {"scheduler": schedule, "interval": "epoch", "monitor": monitor, "strict": False}


def _after_warm_up(warmup: int, factor: Callable[[int], float]) -> Callable[[int], float]:
    """Returns the factor of each step: a line up to 1, then `factor` of the steps since the warm-up."""
    return lambda step: (step + 1) / (warmup + 1) if step < warmup else factor(step - warmup)


def _half_cosine(first: float, last: float, progress: float) -> float:
    """Interpolates from `first` at progress 0 to `last` at progress 1."""
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2


def _every_step(schedule: LRScheduler) -> dict[str, Any]:
    return {"scheduler": schedule, "interval": "step"}


def _every_epoch(schedule: LRScheduler) -> dict[str, Any]:
    return {"scheduler": schedule, "interval": "epoch"}


def check_range(
    name: str,
    value: float,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    below: float = math.inf,
    at_most: float = math.inf,
) -> None:
    """Raises ValueError if a value is outside its bounds; the message names the value."""
    if above < value < below and at_least <= value <= at_most:
        return
    bounds = {"above": above, "at least": at_least, "below": below, "at most": at_most}
    allowed = " and ".join(f"{word} {x:g}" for word, x in bounds.items() if math.isfinite(x))
    raise ValueError(f"{name}={value}: should be {allowed}")

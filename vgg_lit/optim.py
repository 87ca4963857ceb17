"""Optimisers and learning rate schedulers in Lightning's format.

An optimiser is any `torch.optim` class. A scheduler is one of the functions below, or a custom one with
the same signature: it takes the optimiser and the run's `Steps` and returns Lightning's
`lr_scheduler_config`, so that the interval and the monitored metric are always correct. `optimizer.lr` is
the peak of the schedule.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    LambdaLR,
    LRScheduler,
    MultiStepLR,
    ReduceLROnPlateau,
    StepLR,
)

from vgg_lit.errors import ConfigError
from vgg_lit.models.layers import modules_of
from vgg_lit.targets import check_type, instantiate

FUSED = {
    "SGD": ("cpu", "cuda"),
    "Adam": ("cpu", "cuda"),
    "AdamW": ("cpu", "cuda"),
    "Adagrad": ("cpu",),
}
"""The devices on which torch's optimisers have a fused step: one pass over all parameters."""


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


def build_optimizer(spec: Mapping[str, Any], net: nn.Module, fused: bool = True) -> Optimizer:
    """Builds the optimiser of a spec for the trainable parameters of `net`.

    With `fused` it uses torch's fused step where there is one: see `FUSED`. `fused: false` in the spec
    turns this off.

    `decay_norm_and_bias: false` in the spec turns off weight decay for biases and normalisation layers
    (every parameter with fewer than two dimensions). `layer_rates: {block1: 0.1}` multiplies the
    learning rate of layers or blocks; each of them is a parameter group of that name.

    Raises:
        ConfigError: the optimiser does not accept an argument or its value, or `net` does not have a
            named layer.
    """
    arguments = dict(spec)
    decay_all = arguments.pop("decay_norm_and_bias", True)
    if not isinstance(decay_all, bool):
        raise ConfigError(f"optimizer.decay_norm_and_bias={decay_all}: should be true or false")
    layer_rates = arguments.pop("layer_rates", None) or {}
    groups = parameter_groups(net, layer_rates)
    if not decay_all:
        groups = [part for group in groups for part in _split_by_decay(group)]
    trainable = [parameter for group in groups for parameter in group["params"]]
    if fused and "fused" not in arguments and _has_fused_step(arguments.get("_target_"), trainable):
        arguments["fused"] = True
    optimizer: Optimizer = instantiate(arguments, key="optimizer", params=groups)
    for group in optimizer.param_groups:
        group["lr"] *= layer_rates.get(group.get("name"), 1)
    return optimizer


def parameter_groups(net: nn.Module, layer_rates: Mapping[str, float]) -> list[dict[str, Any]]:
    """Groups the trainable parameters: one group per name in `layer_rates`, after the group of the rest.

    Args:
        net: the network; frozen parameters are left out.
        layer_rates: factors on the learning rate, by layer or block.

    Raises:
        ConfigError: a layer does not exist, is frozen or is named twice, or a factor is not above 0.
    """
    check_type(layer_rates, dict[str, float], key="optimizer.layer_rates")
    named: list[dict[str, Any]] = []
    taken: dict[nn.Parameter, str] = {}
    for name, factor in layer_rates.items():
        try:
            _check_range("factor", factor, above=0)
            modules = modules_of(net, name)
        except ValueError as error:
            raise ConfigError(f"optimizer.layer_rates.{name}: {error}") from error
        parameters = [p for m in modules for p in m.parameters(recurse=False) if p.requires_grad]
        if not parameters:
            raise ConfigError(
                f"optimizer.layer_rates.{name}: is frozen, so it has no learning rate"
            )
        for other in {taken[p] for p in parameters if p in taken}:
            raise ConfigError(f"optimizer.layer_rates.{name}: overlaps with {other}")
        taken |= dict.fromkeys(parameters, name)
        named.append({"params": parameters, "name": name})
    rest = [p for p in net.parameters() if p.requires_grad and p not in taken]
    return [{"params": rest}, *named] if rest else named


def _split_by_decay(group: dict[str, Any]) -> list[dict[str, Any]]:
    """Splits a group into matrices and kernels, with weight decay, and the rest, without."""
    return [
        {**group, "params": [p for p in group["params"] if p.ndim >= 2]},
        {**group, "params": [p for p in group["params"] if p.ndim < 2], "weight_decay": 0.0},
    ]


def _has_fused_step(target: Any, parameters: Sequence[nn.Parameter]) -> bool:
    """Returns True if torch has a fused step for these parameters; other devices raise an error."""
    in_torch = FUSED.get(str(target).removeprefix("torch.optim."))
    return in_torch is not None and all(p.device.type in in_torch for p in parameters)


def build_scheduler(
    spec: Mapping[str, Any], optimizer: Optimizer, steps: Steps
) -> dict[str, Any] | None:
    """Builds Lightning's `lr_scheduler_config` for the scheduler of a spec; None for `constant`."""
    return instantiate(spec, key="scheduler", optimizer=optimizer, steps=steps)


def constant(optimizer: Optimizer, steps: Steps) -> None:
    """A constant learning rate."""


def one_cycle(
    optimizer: Optimizer,
    steps: Steps,
    warmup_fraction: float = 0.3,
    start_factor: float = 0.04,
    end_factor: float = 4e-6,
) -> dict[str, Any]:
    """A half cosine up to the optimiser's rate, then a half cosine down, by step.

    Args:
        optimizer: optimiser; its learning rate is the peak.
        steps: length of the run.
        warmup_fraction: share of the run before the peak, in (0, 1).
        start_factor: first rate as a fraction of the peak, in (0, 1].
        end_factor: last rate as a fraction of the peak, in (0, 1].

    Source: Smith & Topin 2018, Super-Convergence; momentum is not changed.
    """
    _check_range("warmup_fraction", warmup_fraction, above=0, below=1)
    _check_range("start_factor", start_factor, above=0, at_most=1)
    _check_range("end_factor", end_factor, above=0, at_most=1)
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
    """Linear warm-up, then a half cosine down to `end_factor` times the rate, by step.

    Source: Loshchilov & Hutter 2017, SGDR, without restarts.
    """
    _check_range("warmup_fraction", warmup_fraction, at_least=0, below=1)
    _check_range("end_factor", end_factor, at_least=0, at_most=1)
    warmup = round(steps.total * warmup_fraction)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = min(1.0, (step - warmup) / max(1, steps.total - warmup))
        return _half_cosine(1.0, end_factor, progress)

    return _every_step(LambdaLR(optimizer, factor))


def step(
    optimizer: Optimizer, steps: Steps, every_epochs: int = 30, factor: float = 0.1
) -> dict[str, Any]:
    """Multiplies the rate by `factor` every `every_epochs` epochs."""
    _check_range("every_epochs", every_epochs, at_least=1)
    _check_range("factor", factor, above=0, at_most=1)
    return _every_epoch(StepLR(optimizer, step_size=every_epochs, gamma=factor))


def multistep(
    optimizer: Optimizer, steps: Steps, milestones: Sequence[int], factor: float = 0.1
) -> dict[str, Any]:
    """Multiplies the rate by `factor` after each of the epochs in `milestones`."""
    if list(milestones) != sorted(set(milestones)) or any(epoch < 1 for epoch in milestones):
        raise ValueError(f"milestones={list(milestones)}: should be epochs in rising order, from 1")
    _check_range("factor", factor, above=0, at_most=1)
    return _every_epoch(MultiStepLR(optimizer, milestones=list(milestones), gamma=factor))


def plateau(
    optimizer: Optimizer,
    steps: Steps,
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
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
        min_lr: lower bound on the rate; multiplied by the factor of a layer that has one.

    Source: Simonyan & Zisserman 2015, section 3.1 (divided by 10 when validation accuracy stops
    improving).
    """
    _check_range("factor", factor, above=0, below=1)
    _check_range("patience", patience, at_least=0)
    _check_range("threshold", threshold, at_least=0)
    _check_range("min_lr", min_lr, at_least=0)
    schedule = ReduceLROnPlateau(
        optimizer,
        mode="max",
        factor=factor,
        patience=patience,
        threshold=threshold,
        threshold_mode="abs",
        # the same fraction of the rate in every group
        min_lr=[
            min_lr * group["lr"] / optimizer.defaults["lr"] for group in optimizer.param_groups
        ],
        eps=0.0,
    )
    monitor = "val/acc" if steps.has_validation else "train/acc"
    # not strict: if not every epoch is validated, the first epochs have no metric
    return {"scheduler": schedule, "interval": "epoch", "monitor": monitor, "strict": False}


def _half_cosine(first: float, last: float, progress: float) -> float:
    """Interpolates from `first` at progress 0 to `last` at progress 1."""
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2


def _every_step(schedule: LRScheduler) -> dict[str, Any]:
    return {"scheduler": schedule, "interval": "step"}


def _every_epoch(schedule: LRScheduler) -> dict[str, Any]:
    return {"scheduler": schedule, "interval": "epoch"}


def _check_range(
    name: str,
    value: float,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    below: float = math.inf,
    at_most: float = math.inf,
) -> None:
    if above < value < below and at_least <= value <= at_most:
        return
    bounds = {"above": above, "at least": at_least, "below": below, "at most": at_most}
    allowed = " and ".join(f"{word} {x:g}" for word, x in bounds.items() if math.isfinite(x))
    raise ValueError(f"{name}={value}: should be {allowed}")


def check_optimizer(optimizer: Mapping[str, Any], scheduler: Mapping[str, Any]) -> None:
    """Builds both for a one-layer net, so that invalid values are found before training starts.

    Raises:
        ConfigError: as `build_optimizer` and `build_scheduler`.
    """
    # nn.Linear has no named layers
    built = build_optimizer({**optimizer, "layer_rates": None}, nn.Linear(1, 1))
    for group in built.param_groups:
        try:  # values that torch accepts but that cannot train
            _check_range("lr", float(group["lr"]), above=0)
            _check_range("momentum", group.get("momentum", 0), at_least=0, below=1)
        except ValueError as error:
            raise ConfigError(f"optimizer.{error}") from error
    build_scheduler(scheduler, built, Steps(total=100, per_epoch=10))

"""Optimisers and schedulers as Lightning wants them.

An optimiser is any `torch.optim` class. A scheduler is one of the functions below (or one like them):
it takes the optimiser and the run's `Steps` and returns Lightning's `lr_scheduler_config`, so that the
interval and the monitored metric cannot be set wrong. `optimizer.lr` is the rate the schedule peaks at.
"""

import math
from collections.abc import Callable, Mapping, Sequence
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

from vgg_lit.models.layers import modules_of
from vgg_lit.targets import ConfigError, check_type, instantiate

FUSED = {
    "SGD": ("cpu", "cuda"),
    "Adam": ("cpu", "cuda"),
    "AdamW": ("cpu", "cuda"),
    "Adagrad": ("cpu",),
}
"""The devices on which torch's optimisers have a step that is one pass over all parameters."""


@dataclass(frozen=True)
class Steps:
    """How long a run is.

    Attributes:
        total: optimiser steps in the whole run.
        per_epoch: optimiser steps in an epoch.
        has_validation: whether `val/acc` is there to be monitored.
    """

    total: int
    per_epoch: int
    has_validation: bool = True


def build_optimizer(spec: Mapping[str, Any], net: nn.Module, fused: bool = True) -> Optimizer:
    """The optimiser that `spec` describes, over the trainable parameters of `net`.

    With `fused` it updates all of them in one pass where torch has one for it: see `FUSED`. `fused: false` in the spec decides otherwise.

    `decay_norm_and_bias: false` in the spec keeps weight decay off biases and normalisation layers
    (every parameter with fewer than two dimensions). `layer_rates: {block1: 0.1}` multiplies the rate
    of layers or blocks; their groups bear their names. `layer_epochs: {whiten: 3}` ends the training of
    these layers after three epochs: their schedule is compressed into them, and their rate is 0 after.

    Raises:
        ConfigError: the optimiser does not take an argument or refuses its value, or `net` has no such
            layer.
    """
    arguments = dict(spec)
    decay_all = arguments.pop("decay_norm_and_bias", True)
    if not isinstance(decay_all, bool):
        raise ConfigError(f"optimizer.decay_norm_and_bias={decay_all}: should be true or false")
    layer_rates = arguments.pop("layer_rates", None) or {}
    layer_epochs = arguments.pop("layer_epochs", None) or {}
    _check_layer_epochs(layer_epochs)
    named = {**dict.fromkeys(layer_epochs, 1.0), **layer_rates}
    groups = parameter_groups(net, named)
    if not decay_all:
        groups = [part for group in groups for part in _split_by_decay(group)]
    trainable = [parameter for group in groups for parameter in group["params"]]
    if fused and "fused" not in arguments and _has_fused_step(arguments.get("_target_"), trainable):
        arguments["fused"] = True
    optimizer: Optimizer = instantiate(arguments, key="optimizer", params=groups)
    for group in optimizer.param_groups:
        group["lr"] *= layer_rates.get(group.get("name"), 1)
        if group.get("name") in layer_epochs:
            group["epochs"] = layer_epochs[group["name"]]
    return optimizer


def _check_layer_epochs(layer_epochs: Mapping[str, int]) -> None:
    check_type(layer_epochs, dict[str, int], key="optimizer.layer_epochs")
    for name, epochs in layer_epochs.items():
        if epochs < 1:
            raise ConfigError(f"optimizer.layer_epochs.{name}={epochs}: should be at least 1")


def rest_finished_layers(optimizer: Optimizer, epoch: int) -> None:
    """Takes the gradient from the groups whose `layer_epochs` are over; their rate is 0.

    The backward pass then ends before them if they are the first layers.

    Args:
        optimizer: from `build_optimizer`.
        epoch: counted from 0.
    """
    for group in optimizer.param_groups:
        if epoch >= group.get("epochs", math.inf):
            for parameter in group["params"]:
                parameter.requires_grad_(False)
                parameter.grad = None


def parameter_groups(net: nn.Module, layer_rates: Mapping[str, float]) -> list[dict[str, Any]]:
    """The trainable parameters in groups: first the rest, then those of each name in `layer_rates`.

    Args:
        net: with frozen layers where there are any.
        layer_rates: layers or blocks, and the factors on their rates.

    Raises:
        ConfigError: no such layer, one that is frozen or named twice, or a factor that is not above 0.
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
            raise ConfigError(f"optimizer.layer_rates.{name}: is frozen and has no rate")
        for other in {taken[p] for p in parameters if p in taken}:
            raise ConfigError(f"optimizer.layer_rates.{name}: {other} has a part of it already")
        taken |= dict.fromkeys(parameters, name)
        named.append({"params": parameters, "name": name})
    rest = [p for p in net.parameters() if p.requires_grad and p not in taken]
    return [{"params": rest}, *named] if rest else named


def _split_by_decay(group: dict[str, Any]) -> list[dict[str, Any]]:
    """Matrices and kernels, which decay, and the rest, which does not."""
    return [
        {**group, "params": [p for p in group["params"] if p.ndim >= 2]},
        {**group, "params": [p for p in group["params"] if p.ndim < 2], "weight_decay": 0.0},
    ]


def _has_fused_step(target: Any, parameters: Sequence[nn.Parameter]) -> bool:
    """Whether torch updates such parameters in one pass; other devices would refuse to."""
    in_torch = FUSED.get(str(target).removeprefix("torch.optim."))
    return in_torch is not None and all(p.device.type in in_torch for p in parameters)


def build_scheduler(
    spec: Mapping[str, Any], optimizer: Optimizer, steps: Steps
) -> dict[str, Any] | None:
    """Lightning's `lr_scheduler_config` for the scheduler that `spec` describes; None for `constant`.

    Raises:
        ConfigError: an argument is wrong, or `optimizer.layer_epochs` meets a schedule other than `linear`.
    """
    target = str(spec.get("_target_"))
    if target != "vgg_lit.optim.linear" and any("epochs" in g for g in optimizer.param_groups):
        raise ConfigError(f"optimizer.layer_epochs: needs scheduler=linear, not {target}")
    return instantiate(spec, key="scheduler", optimizer=optimizer, steps=steps)


def constant(optimizer: Optimizer, steps: Steps) -> None:
    """The rate stays what the optimiser was given."""


def one_cycle(
    optimizer: Optimizer,
    steps: Steps,
    warmup_fraction: float = 0.3,
    start_factor: float = 0.04,
    end_factor: float = 4e-6,
) -> dict[str, Any]:
    """Up to the optimiser's rate over a first part of the run, then down in a half cosine, by step.

    Args:
        optimizer: its rate is the peak.
        steps: length of the run.
        warmup_fraction: share of the run before the peak, in (0, 1).
        start_factor: first rate as a fraction of the peak, in (0, 1].
        end_factor: last rate as a fraction of the peak, in (0, 1].

    Source: Smith & Topin 2018, Super-Convergence; momentum is left alone.
    """
    _check_range("warmup_fraction", warmup_fraction, above=0, below=1)
    _check_range("start_factor", start_factor, above=0, at_most=1)
    _check_range("end_factor", end_factor, above=0, at_most=1)
    # Not torch's OneCycleLR, which divides by zero where the peak falls on the first step, and ends a
    # resumed run with an error at the old length when more epochs are asked for.
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


def linear(
    optimizer: Optimizer, steps: Steps, warmup_fraction: float = 0.0, end_factor: float = 0.0
) -> dict[str, Any]:
    """Linear warm-up, then a straight line down to `end_factor` times the rate, by step.

    A group with `epochs` (see `build_optimizer`) goes down to 0 over that many epochs.

    Source: Keller Jordan 2024, https://arxiv.org/abs/2404.00498.
    """
    _check_range("warmup_fraction", warmup_fraction, at_least=0, below=1)
    _check_range("end_factor", end_factor, at_least=0, at_most=1)
    warmup = round(steps.total * warmup_fraction)

    def factor_until(total: int, last: float) -> Callable[[int], float]:
        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            return 1 + (last - 1) * min(1.0, (step - warmup) / max(1, total - warmup))

        return factor

    factors = [
        factor_until(min(steps.total, group["epochs"] * steps.per_epoch), 0.0)
        if "epochs" in group
        else factor_until(steps.total, end_factor)
        for group in optimizer.param_groups
    ]
    return _every_step(LambdaLR(optimizer, factors))


def step(
    optimizer: Optimizer, steps: Steps, every_epochs: int = 30, factor: float = 0.1
) -> dict[str, Any]:
    """The rate times `factor` every so many epochs."""
    _check_range("every_epochs", every_epochs, at_least=1)
    _check_range("factor", factor, above=0, at_most=1)
    return _every_epoch(StepLR(optimizer, step_size=every_epochs, gamma=factor))


def multistep(
    optimizer: Optimizer, steps: Steps, milestones: Sequence[int], factor: float = 0.1
) -> dict[str, Any]:
    """The rate times `factor` after each of the epochs in `milestones`."""
    if list(milestones) != sorted(set(milestones)) or any(epoch < 1 for epoch in milestones):
        raise ValueError(f"milestones={list(milestones)}: should be rising epochs from 1 on")
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
    """The rate times `factor` when validation accuracy has not risen for `patience` epochs.

    Without a validation split the training accuracy is watched: the test set decides nothing.

    Args:
        optimizer: its rate is the first.
        steps: length of the run.
        factor: what the rate is multiplied with, in (0, 1).
        patience: epochs without a rise before that.
        threshold: accuracy, as a fraction, that counts as a rise.
        min_lr: the rate falls no lower; for a layer with a factor on its rate, times that factor.

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
        # of a group with a rate of its own, the same fraction
        min_lr=[
            min_lr * group["lr"] / optimizer.defaults["lr"] for group in optimizer.param_groups
        ],
        eps=0.0,
    )
    monitor = "val/acc" if steps.has_validation else "train/acc"
    # not strict: where not every epoch is validated, the first ones have nothing to show
    return {"scheduler": schedule, "interval": "epoch", "monitor": monitor, "strict": False}


def _half_cosine(first: float, last: float, progress: float) -> float:
    """From `first` at progress 0 to `last` at 1."""
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


def check(optimizer: Mapping[str, Any], scheduler: Mapping[str, Any]) -> None:
    """Builds both for a one-weight net, so that a wrong value shows before anything starts.

    Raises:
        ConfigError: as `build_optimizer` and `build_scheduler`.
    """
    # which has no layers of a network's names
    apart = {"layer_rates": None, "layer_epochs": None}
    built = build_optimizer({**optimizer, **apart}, nn.Linear(1, 1))
    for group in built.param_groups:
        try:  # what torch lets pass and no run survives
            _check_range("lr", float(group["lr"]), above=0)
            _check_range("momentum", group.get("momentum", 0), at_least=0, below=1)
        except ValueError as error:
            raise ConfigError(f"optimizer.{error}") from error
    build_scheduler(scheduler, built, Steps(total=100, per_epoch=10))

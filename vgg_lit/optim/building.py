"""The optimiser and the schedule of a config, and the parameter groups between them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from vgg_lit.errors import ConfigError
from vgg_lit.models.layers import modules_of
from vgg_lit.optim.schedules import Steps, check_range
from vgg_lit.targets import check_type, instantiate

FUSED = {
    "SGD": ("cpu", "cuda", "mps"),
    "Adam": ("cpu", "cuda", "mps"),
    "AdamW": ("cpu", "cuda", "mps"),
    "Adagrad": ("cpu",),
}
"""The devices on which torch's optimisers have a fused step: one pass over all parameters."""


def build_optimizer(spec: Mapping[str, Any], net: nn.Module, fused: bool = True) -> Optimizer:
    """Builds the optimiser of a spec for the trainable parameters of `net`.

    With `fused` it uses torch's fused step where there is one: see `FUSED`. `fused: false` in the spec
    turns this off.

    `decay_norm_and_bias: false` in the spec turns off weight decay for biases and normalisation layers
    (every parameter with fewer than two dimensions). `layer_rates: {block1: 0.1}` multiplies the
    learning rate of layers or blocks; each of them is a parameter group of that name.
    `layer_epochs: {whiten: 3}` ends the training of these layers after three epochs: their schedule is
    compressed into them, and their learning rate is 0 after that.

    An optimiser with `hidden_fc: true` in its spec receives the weight of the last FC layer as `output`.

    Raises:
        ConfigError: the optimiser does not accept an argument or its value, or `net` does not have a
            named layer.
    """
    arguments = dict(spec)
    decay_all = arguments.pop("decay_norm_and_bias", True)
    if not isinstance(decay_all, bool):
        raise ConfigError(f"optimizer.decay_norm_and_bias={decay_all}: should be true or false")
    layer_rates = arguments.pop("layer_rates", None) or {}
    layer_epochs = arguments.pop("layer_epochs", None) or {}
    _check_layer_epochs(layer_epochs)
    groups = parameter_groups(net, layer_rates, layer_epochs)
    if not decay_all:
        groups = [part for group in groups for part in _split_by_decay(group)]
    trainable = [parameter for group in groups for parameter in group["params"]]
    if fused and "fused" not in arguments and _has_fused_step(arguments.get("_target_"), trainable):
        arguments["fused"] = True
    runtime: dict[str, Any] = {"params": groups}
    if arguments.get("hidden_fc"):
        fc_weights = [p for p in net.parameters() if p.ndim == 2]
        runtime["output"] = fc_weights[-1] if fc_weights else None
    optimizer: Optimizer = instantiate(arguments, key="optimizer", **runtime)
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


def fix_finished_layers(optimizer: Optimizer, epoch: int) -> None:
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


def parameter_groups(
    net: nn.Module, layer_rates: Mapping[str, float], layer_epochs: Mapping[str, int] | None = None
) -> list[dict[str, Any]]:
    """Groups the trainable parameters: one group per named layer or block, after the group of the rest.

    Args:
        net: the network; frozen parameters are left out.
        layer_rates: factors on the learning rate, by layer or block.
        layer_epochs: number of epochs of layers or blocks that are trained for some epochs only.

    Raises:
        ConfigError: a layer does not exist, is frozen or is named twice, or a factor is not above 0.
    """
    check_type(layer_rates, dict[str, float], key="optimizer.layer_rates")
    named: list[dict[str, Any]] = []
    taken: dict[nn.Parameter, str] = {}
    keys = {name: f"optimizer.layer_epochs.{name}" for name in layer_epochs or {}}
    keys |= {name: f"optimizer.layer_rates.{name}" for name in layer_rates}
    for name, key in keys.items():
        try:
            check_range("factor", layer_rates.get(name, 1.0), above=0)
            modules = modules_of(net, name)
        except ValueError as error:
            raise ConfigError(f"{key}: {error}") from error
        parameters = [p for m in modules for p in m.parameters(recurse=False) if p.requires_grad]
        if not parameters:
            raise ConfigError(f"{key}: is frozen, so it has no learning rate; leave it out")
        for other in {taken[p] for p in parameters if p in taken}:
            raise ConfigError(f"{key}: overlaps with {other}")
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
    """Builds Lightning's `lr_scheduler_config` for the scheduler of a spec; None for `constant`.

    Raises:
        ConfigError: an argument is wrong, or `optimizer.layer_epochs` is combined with a schedule other
            than `linear`.
    """
    target = str(spec.get("_target_"))
    if target != "vgg_lit.optim.linear" and any("epochs" in g for g in optimizer.param_groups):
        raise ConfigError(f"optimizer.layer_epochs: needs scheduler=linear, not {target}")
    return instantiate(spec, key="scheduler", optimizer=optimizer, steps=steps)


def check_optimizer(optimizer: Mapping[str, Any], scheduler: Mapping[str, Any]) -> None:
    """Builds both for a one-layer net, so that invalid values are found before training starts.

    Raises:
        ConfigError: as `build_optimizer` and `build_scheduler`.
    """
    # nn.Linear has no named layers
    apart = {"layer_rates": None, "layer_epochs": None}
    built = build_optimizer({**optimizer, **apart}, nn.Linear(1, 1))
    for group in built.param_groups:
        try:  # values that torch accepts but that cannot train
            check_range("lr", float(group["lr"]), above=0)
            check_range("momentum", group.get("momentum", 0), at_least=0, below=1)
        except ValueError as error:
            raise ConfigError(f"optimizer.{error}") from error
    build_scheduler(scheduler, built, Steps(total=100, per_epoch=10))

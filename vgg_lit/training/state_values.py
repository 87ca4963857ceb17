"""Checks of the plain values in a training state: types, counters and rates.

check_values(checkpoint)                    # before a run is started or modified
check_kind(state, callback.state_dict(), "callbacks.EarlyStopping")

A checkpoint may come from an untrusted source, and torch and Lightning restore values of any type.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from torch import Tensor

from vgg_lit.errors import InputError

PARTS: Mapping[str, type] = {
    "state_dict": Mapping,
    "loops": Mapping,
    "optimizer_states": list,
    "lr_schedulers": list,
    "callbacks": Mapping,
}
"""Parts of a training state, with their types."""

OPTIONAL_PARTS = ("hyper_parameters", "callback_settings")
"""Mappings that a checkpoint may lack."""

MOST_STEPS = 2**40
"""Limit on the number of optimiser steps of a training."""

COUNTERS = ("ready", "started", "processed", "completed", "_batches_that_stepped")
"""Names of counters in the state of Lightning's loops."""

LOADER = ("epoch", "batches")
"""Names of counters in the state of a data loader of ours."""

SCHEDULE = ("last_epoch", "_step_count", "num_bad_epochs", "cooldown_counter")
"""Names of counters in the state of a schedule."""

RATES = ("base_lrs", "_last_lr")
"""Names of lists with a learning rate for each parameter group, in the state of a schedule."""


def check_values(checkpoint: Mapping[str, Any]) -> None:
    """Checks the types of the parts of a training state, and all counters and rates in it.

    Raises:
        InputError: a part has another type, or a number is impossible.
    """
    for name, kind in PARTS.items():
        if not isinstance(checkpoint.get(name), kind):
            raise InputError(f"its {name} is not a {kind.__name__.lower()}")
    for name in OPTIONAL_PARTS:
        if not isinstance(checkpoint.get(name), Mapping | None):
            raise InputError(f"its {name} is not a mapping")
    for name, spec in (checkpoint.get("callback_settings") or {}).items():
        if not isinstance(spec, Mapping | None):
            raise InputError(f"callback_settings.{_shown(name)}={_shown(spec)}: is not a mapping")
    _check_count(checkpoint["global_step"], "global_step", "a number of steps")
    for key, value in _named(checkpoint["loops"], COUNTERS, "loops"):
        _check_count(value, key, "a number of steps or epochs")
    _check_loaders(checkpoint["loops"])
    _check_scores(checkpoint["callbacks"])
    for state in checkpoint["optimizer_states"]:
        for group in state["param_groups"]:
            for name in {"lr", "initial_lr"} & group.keys():
                _check_rate(group[name], f"param_groups.{name}")
    for schedule in checkpoint["lr_schedulers"]:
        for name in schedule.keys() & set(SCHEDULE):
            _check_count(schedule[name], f"lr_schedulers.{name}", "a number of steps or epochs")
        for name in schedule.keys() & set(RATES):
            _check_rates(schedule[name], f"lr_schedulers.{name}")


def check_kind(found: Any, fresh: Any, name: str, counts: bool = True) -> None:
    """Checks that a part of a state has the same types as in the state of a new training.

    Args:
        found: part of the state.
        fresh: the same part of the state of a new training; values that only one of the two has are ignored.
        name: its key, for messages.
        counts: True if integers have to be integers; False if they may be settings, such as `gamma: 1`.

    Raises:
        InputError: a value has another type, or a list another length.
    """
    kinds: Any = (
        (Mapping, Mapping),
        (list | tuple, list | tuple),
        (bool, bool),
        (int, int if counts else int | float | Tensor),
        (float, int | float | Tensor),
        (Tensor, Tensor),
        (str, str),
    )
    allowed: Any = next((allowed for kind, allowed in kinds if isinstance(fresh, kind)), object)
    is_odd_bool = isinstance(found, bool) and isinstance(fresh, int | float | Tensor)
    if not isinstance(found, allowed) or (is_odd_bool and not isinstance(fresh, bool)):
        raise InputError(f"{name}={_shown(found)}: is not a {type(fresh).__name__.lower()}")
    if isinstance(fresh, Mapping):
        for key in fresh.keys() & found.keys():
            check_kind(found[key], fresh[key], f"{name}.{key}", counts)
    elif isinstance(fresh, list | tuple):
        if not counts and len(found) != len(fresh):
            raise InputError(f"{name}={_shown(found)}: has {len(found)} values, not {len(fresh)}")
        for part, other in zip(found, fresh, strict=False):
            check_kind(part, other, name, counts)


def _named(content: Any, names: Sequence[str], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yields the keys and values of these names in nested mappings."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _named(value, names, f"{prefix}.{key}")
        elif key in names:
            yield f"{prefix}.{key}", value


def _check_loaders(loops: Mapping[str, Any]) -> None:
    """Raises if the position of a data loader is not one."""
    for key, loaders in _named(loops, ["combined_loader"], "loops"):
        if not isinstance(loaders, list | tuple):
            raise InputError(f"{key}={_shown(loaders)}: is not a list")
        for loader in loaders:
            if isinstance(loader, Mapping):
                for name in loader.keys() & set(LOADER):
                    _check_count(loader[name], f"{key}.{name}", "a number of steps or epochs")


def _check_scores(callbacks: Mapping[str, Any]) -> None:
    """Raises if the best score of a callback, or the metrics of its epoch, are not numbers."""
    for state in callbacks.values():
        score = state.get("best_score") if isinstance(state, Mapping) else None
        if score is not None and not _is_number(score):
            raise InputError(f"best_score={_shown(score)}: is not a number")
    state = callbacks.get("Checkpointing")
    metrics = state.get("best_metrics", {}) if isinstance(state, Mapping) else {}
    is_sound = isinstance(metrics, Mapping) and all(
        isinstance(name, str) and isinstance(value, int | float) for name, value in metrics.items()
    )
    if not is_sound:
        raise InputError(f"best_metrics={_shown(metrics)}: are not numbers by name")


def _check_count(value: Any, key: str, what: str) -> None:
    is_count = isinstance(value, int) and not isinstance(value, bool)
    if not is_count or not 0 <= value <= MOST_STEPS:
        raise InputError(f"{key}={_shown(value)}: not {what}")


def _check_rates(values: Any, key: str) -> None:
    if not isinstance(values, list | tuple):
        raise InputError(f"{key}={_shown(values)}: is not a list")
    for value in values:
        _check_rate(value, key)


def _check_rate(value: Any, key: str) -> None:
    if not _is_number(value) or not (isfinite(value) and value >= 0):
        raise InputError(f"{key}={_shown(value)}: not a learning rate")


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        value = value.item() if value.numel() == 1 else None
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _shown(value: Any) -> str:
    return " ".join(str(value)[:50].split())

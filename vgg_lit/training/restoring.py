"""Checks that training can resume from a checkpoint, before a run is started or modified.

The file is intact, but its state may belong to another optimiser, or it may come from an untrusted source.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import lightning.pytorch as L
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.optim import Optimizer

from vgg_lit.checkpoints.storage import LEARNT, all_finite, read_checkpoint, set_aside
from vgg_lit.checkpoints.weights import check_fit, net_weights
from vgg_lit.config.network_checks import check_model
from vgg_lit.errors import ConfigError, InputError, one_line
from vgg_lit.models.data_arguments import DataShape
from vgg_lit.optim import Steps, build_optimizer, build_scheduler
from vgg_lit.runs import Run
from vgg_lit.system.files import check_writable
from vgg_lit.system.launch import rank
from vgg_lit.system.lightning_internals import wrap_restoring
from vgg_lit.system.terminal import warn
from vgg_lit.training.changed_settings import SECTIONS
from vgg_lit.training.state_values import check_kind, check_values
from vgg_lit.weights.fine_tuning import freeze_layers

RESTORE_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    MisconfigurationException,
)
"""Exceptions that torch and Lightning raise for a state that they cannot load."""

WEIGHTS_ONLY_HINT = "to load only the weights, set init.from"


class Position(NamedTuple):
    """The place of a checkpoint in its training: optimiser steps, completed epochs.

    Attributes:
        parts: states of the loops and callbacks, for `explain_restoring`.
    """

    step: int
    epochs: int
    is_within_epoch: bool
    parts: Mapping[str, Any] = MappingProxyType({})

    def __str__(self) -> str:
        if self.is_within_epoch:
            return f"in epoch {self.epochs + 1}, after step {self.step}"
        return f"after epoch {self.epochs}, step {self.step}"


START = Position(0, 0, is_within_epoch=False)


def sound_checkpoint(run: Run) -> Path:
    """Returns the newest intact checkpoint of a run; renames damaged ones with a warning."""
    is_main = rank() == 0
    if is_main and run.is_at_work():
        raise InputError(f"resume={run.path}: another process is training this run")
    if is_main:
        run.epochs()  # a damaged table is reported before anything is written
        for folder in (run.path, run.checkpoints):
            check_writable(folder, f"resume={run.path}")
    checkpoint, damages = run.newest_checkpoint()
    if is_main:
        for path, damage in damages.items():
            warn(f"{damage}; kept as {set_aside(path).name}")
        if damages:
            warn(f"resumes from {checkpoint} instead")
    return checkpoint


def check_state(path: Path, config: Mapping[str, Any], steps: Steps) -> Position:
    """Checks that a training can resume from a checkpoint; returns the position of the checkpoint.

    Args:
        path: checkpoint file.
        config: checked config as plain values.
        steps: approximate length of the training.

    Raises:
        InputError: the file cannot be read, or its state is broken or belongs to another training.
    """
    checkpoint = read_checkpoint(path)
    with _prefixed_errors(path):
        if "optimizer_states" not in checkpoint:
            raise InputError(
                "it holds weights alone (callbacks.checkpointing.keep=best); start a new run from them "
                "with init.from"
            )
        check_values(checkpoint)
        if not all_finite([checkpoint.get(part) for part in LEARNT]):
            raise InputError("its weights or its optimiser state are not finite")
        net = check_model(config["model"], DataShape.of(config["data"]))
        check_fit(net, net_weights(checkpoint["state_dict"]))
        freeze_layers(config, net)
        _check_epochs(checkpoint, config["trainer"]["max_epochs"])
        _check_optimizer(checkpoint, config["optimizer"], net)
        _check_schedule(checkpoint, config, net, steps)
        _check_recorded(checkpoint, config, net, steps)
        epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
        is_within = epochs["ready"] > epochs["processed"]
        parts = {name: checkpoint[name] for name in ("loops", "callbacks")}
        return Position(checkpoint["global_step"], epochs["processed"], is_within, parts)
    raise AssertionError("the block above returns or raises")


def explain_restoring(trainer: L.Trainer, path: Path, parts: Mapping[str, Any]) -> None:
    """Checks the states of the Trainer's loops and callbacks; later errors are reported in one line.

    Prints a warning of states whose callbacks the Trainer does not have.

    Args:
        trainer: trainer that will restore the state.
        path: checkpoint file, for messages.
        parts: content of the checkpoint.

    Raises:
        InputError: a value has another type than in a new training.
    """
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    fresh = {
        "loops": {"fit_loop": trainer.fit_loop.state_dict()},
        "callbacks": {
            callback.state_key: callback.state_dict()
            for callback in callbacks
            # The callback of a user may change the types of its values.
            if type(callback).__module__.startswith(("lightning.", "vgg_lit."))
        },
    }
    with _prefixed_errors(path):
        for part in fresh.keys() & parts.keys():
            check_kind(parts[part], fresh[part], part)
    known = {callback.state_key for callback in callbacks}
    others = [" ".join(str(key)[:50].split()) for key in parts["callbacks"] if key not in known]
    if others and trainer.is_global_zero:
        warn(f"{path}: this training lacks callbacks whose state it holds: {', '.join(others)}")

    @contextmanager
    def context() -> Iterator[None]:
        with _prefixed_errors(path):
            yield

    wrap_restoring(trainer, context)


@contextmanager
def _prefixed_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except RESTORE_ERRORS as error:
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        raise InputError(
            f"{path}: training cannot resume from it: {kind}{one_line(error)[:300]}"
        ) from error


def _check_epochs(checkpoint: Mapping[str, Any], max_epochs: int) -> None:
    done = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    if done > max_epochs:
        raise InputError(
            f"trainer.max_epochs={max_epochs}: {done} epochs are done; allowed: {done} or more"
        )


def _check_optimizer(
    checkpoint: Mapping[str, Any], spec: Mapping[str, Any], net: nn.Module
) -> None:
    """Raises if the optimiser cannot take a step with only the saved state."""
    name = spec["_target_"]
    saved_name = (_recorded(checkpoint, "optimizer") or {}).get("_target_")
    (saved,) = checkpoint["optimizer_states"]
    try:
        _step(_optimizer(spec, net))
    except Exception:  # a custom optimiser may need more than gradients; the check is skipped
        return
    if saved_name not in (None, name):
        raise InputError(f"its optimiser is {saved_name}, not {name}; {WEIGHTS_ONLY_HINT}")
    # Parameters are on the meta device, which has no fused steps.
    groups = [{**group, "fused": False, "foreach": False} for group in saved["param_groups"]]
    fresh, resumed = _optimizer(spec, net), _optimizer(spec, net)
    fresh.load_state_dict({"state": {}, "param_groups": groups})
    resumed.load_state_dict({"state": saved["state"], "param_groups": groups})
    _step(fresh)
    _keep_scalars(resumed, fresh, saved["state"])
    _step(resumed)
    expected, found = fresh.state_dict()["state"], saved["state"]
    is_lost = bool(expected) and not found and checkpoint["global_step"] > 0
    if is_lost or any(found[key].keys() != expected[key].keys() for key in found):
        raise InputError(f"its optimiser state does not fit {name}; {WEIGHTS_ONLY_HINT}")


def _keep_scalars(resumed: Optimizer, fresh: Optimizer, saved: Mapping[int, Any]) -> None:
    """Restores the values that a step reads on the host, as NAdam does; on "meta" they have none."""
    parameters = [p for group in resumed.param_groups for p in group["params"]]
    others = [p for group in fresh.param_groups for p in group["params"]]
    for index, (parameter, other) in enumerate(zip(parameters, others, strict=True)):
        for name, value in fresh.state.get(other, {}).items():
            is_read = isinstance(value, Tensor) and not value.is_meta
            if is_read and name in saved.get(index, {}):
                resumed.state[parameter][name] = torch.as_tensor(saved[index][name]).clone()


def _check_schedule(
    checkpoint: Mapping[str, Any], config: Mapping[str, Any], net: nn.Module, steps: Steps
) -> None:
    try:
        made = build_scheduler(config["scheduler"], _optimizer(config["optimizer"], net), steps)
    except ConfigError:  # the schedule needs the exact length of the training
        return
    fresh = [made["scheduler"].state_dict()] if made else []
    if list(map(_settings, fresh)) != list(map(_settings, checkpoint["lr_schedulers"])):
        raise InputError(
            f"its schedule state does not fit {config['scheduler']['_target_']}; {WEIGHTS_ONLY_HINT}"
        )
    check_kind(checkpoint["lr_schedulers"], fresh, "lr_schedulers", counts=False)


def _check_recorded(
    checkpoint: Mapping[str, Any], config: Mapping[str, Any], net: nn.Module, steps: Steps
) -> None:
    """Raises if the optimiser and the schedule that wrote the state cannot be built to find changed settings."""
    specs = {name: _recorded(checkpoint, name) or config[name] for name in SECTIONS}
    if all(specs[name] == config[name] for name in SECTIONS):
        return
    optimizer = _optimizer(specs["optimizer"], net)
    fresh = _optimizer(config["optimizer"], net)
    if len(optimizer.param_groups) != len(fresh.param_groups):
        raise InputError("its parameter groups are not those of the optimizer settings")
    with suppress(ConfigError) if specs["scheduler"] == config["scheduler"] else nullcontext():
        build_scheduler(specs["scheduler"], optimizer, steps)


def _recorded(checkpoint: Mapping[str, Any], name: str) -> Any:
    """Returns a section of the settings that wrote the state; None if there is none."""
    section = (checkpoint.get("hyper_parameters") or {}).get(name)
    if not isinstance(section, Mapping | None):
        raise InputError(f"its hyper_parameters.{name} is not a mapping")
    return section


def _settings(state: Mapping[str, Any]) -> set[str]:
    """Returns the public names in the state of a schedule; private ones vary between torch versions."""
    return {name for name in state if not name.startswith("_")}


def _optimizer(spec: Mapping[str, Any], net: nn.Module) -> Optimizer:
    return build_optimizer({**spec, "fused": False} if "fused" in spec else spec, net, fused=False)


def _step(optimizer: Optimizer) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.empty_like(parameter)
    optimizer.step()

"""Applies changed settings to a resumed training: restored states hold the earlier values.

torch restores `patience` of a schedule or `momentum` of an optimiser with its state, and Lightning the
`patience` of early stopping, so that without this module an override of a resumed run had no effect.

The earlier settings are read from the checkpoint. `config.yaml` may already hold the new ones: in other
ranks, which start after it is written, and after a kill between its change and the next checkpoint.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from vgg_lit.callbacks import Checkpointing
from vgg_lit.optim import Steps, build_optimizer, build_scheduler
from vgg_lit.system.terminal import warn
from vgg_lit.targets import instantiate

SECTIONS = ("optimizer", "scheduler")
"""Sections of the config whose objects the hyperparameters of a checkpoint describe."""

CALLBACK_SETTINGS = "callback_settings"
"""Key of a checkpoint with the section `callbacks` of the config."""

PROGRESS = ("optimizer", "lr_lambdas", "last_epoch", "_last_lr", "_step_count")
"""Attributes of a schedule that are its progress, or hold none of its settings."""

SMALLEST_RISE = 1.001
"""Smallest ratio of a learning rate to the previous one that is reported."""


class ChangedSettings(Callback):
    """Sets the values that differ between two configs in the restored optimiser, schedule and callbacks.

    Args:
        after: config of the training.
        steps: length of the training.
        before: config of the run so far, for checkpoints without settings of callbacks; None if there is
            no such run.
    """

    def __init__(
        self, after: Mapping[str, Any], steps: Steps, before: Mapping[str, Any] | None = None
    ) -> None:
        self.after = after
        self.steps = steps
        self.before = before or after

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the settings of the callbacks; the other sections are among the hyperparameters."""
        checkpoint[CALLBACK_SETTINGS] = self.after["callbacks"]

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Reads the settings that were in force when the checkpoint was written."""
        hyperparameters = checkpoint.get("hyper_parameters", {})
        recorded = {name: hyperparameters[name] for name in SECTIONS if name in hyperparameters}
        callbacks = checkpoint.get(CALLBACK_SETTINGS) or self.before["callbacks"]
        self.before = {**self.before, **recorded, "callbacks": callbacks}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Applies the changes, and reports a learning rate that rises again."""
        if any(self.before[name] != self.after[name] for name in SECTIONS):
            self._change_optimizer(trainer, pl_module)
        if self.before["callbacks"] != self.after["callbacks"]:
            self._change_callbacks(trainer.callbacks)  # type: ignore[attr-defined]
        if trainer.is_global_zero and trainer.ckpt_path:
            _report_rise(trainer)

    def _change_optimizer(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        live = trainer.optimizers[0]
        old, new = (
            build_optimizer(config["optimizer"], pl_module.net)  # type: ignore[arg-type]
            for config in (self.before, self.after)
        )
        # Built first: a schedule sets the rates of its optimiser.
        rates = [
            (was["lr"], now["lr"])
            for was, now in zip(old.param_groups, new.param_groups, strict=True)
        ]
        _change_groups(live, old, new)
        schedules = [
            build_scheduler(config["scheduler"], optimizer, self.steps)
            for config, optimizer in ((self.before, old), (self.after, new))
        ]
        for group, (was, now) in zip(live.param_groups, rates, strict=True):
            if now != was:
                for name in {"lr", "initial_lr"} & group.keys():
                    group[name] = group[name] * now / was if was else now
        if trainer.lr_scheduler_configs and all(schedules):
            schedule = trainer.lr_scheduler_configs[0].scheduler
            before, after = (vars(made["scheduler"]) for made in schedules if made)
            for name, value in after.items():
                if name not in PROGRESS and not callable(value) and value != before.get(name):
                    setattr(schedule, name, value)
            schedule._last_lr = [group["lr"] for group in live.param_groups]

    def _change_callbacks(self, callbacks: Sequence[Callback]) -> None:
        """Sets changed arguments of callbacks; those of one class are in the order of the config."""
        after = {name: spec for name, spec in self.after["callbacks"].items() if spec}
        for name, spec in after.items():
            old = self.before["callbacks"].get(name)
            if not old or spec == old:
                continue
            fresh: Callback = instantiate(spec, key="callbacks")
            alike = [other for other in after if after[other]["_target_"] == spec["_target_"]]
            found = [callback for callback in callbacks if type(callback) is type(fresh)]
            if alike.index(name) < len(found):
                changed = [key for key in spec if spec[key] != old.get(key)]
                _change_callback(found[alike.index(name)], fresh, changed)


def _change_groups(live: Optimizer, old: Optimizer, new: Optimizer) -> None:
    """Sets changed options such as the momentum in all parameter groups."""
    for group, was, now in zip(live.param_groups, old.param_groups, new.param_groups, strict=True):
        for name in now.keys() - {"params", "lr", "initial_lr"}:
            if now[name] != was.get(name):
                group[name] = now[name]


def _change_callback(callback: Callback, fresh: Callback, changed: Sequence[str]) -> None:
    """Sets changed arguments of a callback; a changed monitor also starts its best score anew.

    Args:
        callback: callback of the trainer.
        fresh: callback with the new arguments.
        changed: names of the changed arguments.
    """
    for name in changed:
        if hasattr(fresh, name):
            setattr(callback, name, getattr(fresh, name))
    if {"monitor", "mode"}.intersection(changed):
        if isinstance(callback, Checkpointing):
            callback.best_score, callback.best_metrics = None, {}
        elif isinstance(callback, EarlyStopping) and isinstance(fresh, EarlyStopping):
            callback.best_score, callback.wait_count = fresh.best_score, 0


def _report_rise(trainer: L.Trainer) -> None:
    """Prints a warning if the schedule of the new config is above the rate of the checkpoint."""
    for config in trainer.lr_scheduler_configs:
        schedule = config.scheduler
        if not isinstance(schedule, LambdaLR):
            continue
        current = schedule.optimizer.param_groups[0]["lr"]
        planned = schedule.base_lrs[0] * schedule.lr_lambdas[0](schedule.last_epoch)
        if planned > current * SMALLEST_RISE:
            warn(
                f"the learning rate rises again at step {trainer.global_step + 1}, from "
                f"{current:.3g} to {planned:.3g}: the schedule spans trainer.max_epochs="
                f"{trainer.max_epochs}; to avoid it, start a new run of that length, or one from these "
                f"weights with init.from={trainer.ckpt_path}"
            )

"""Builds the Lightning Trainer of a config."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback, Checkpoint, WeightAveraging
from lightning.pytorch.profilers import AdvancedProfiler, Profiler, PyTorchProfiler, SimpleProfiler
from lightning.pytorch.strategies import DDPStrategy

from vgg_lit.callbacks import LayerTimes, Progress, ProgressBar
from vgg_lit.callbacks.live_display import LiveDisplay
from vgg_lit.callbacks.pruning import Pruning, Report
from vgg_lit.checkpoints.trainer_io import AtomicCheckpointIO
from vgg_lit.data.custom_datamodule import CustomDataModule
from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.data.orders import check_batch_size
from vgg_lit.errors import ConfigError
from vgg_lit.launching.ddp import (
    SharedBuffers,
    build_strategy,
    cluster_environment,
)
from vgg_lit.metrics import ACCURACIES
from vgg_lit.system.hardware import count_devices, count_processes, resolve_precision, tune_process
from vgg_lit.system.launch import sees_own_device
from vgg_lit.system.lightning_internals import disable_signal_handling, quieten_lightning
from vgg_lit.system.notebook import is_notebook
from vgg_lit.training.loggers import build_loggers, build_part

PROFILERS: dict[str | None, type[Profiler]] = {
    "simple": SimpleProfiler,
    "advanced": AdvancedProfiler,
    "pytorch": PyTorchProfiler,
}
"""Profilers, which write `fit-profile.txt` and `test-profile.txt` into the run directory."""

OF_FRAMEWORKS = ("lightning.", "vgg_lit.")
"""Prefixes of the classes whose logged metrics are known."""

BAR_REFRESHES = 5
"""Refreshes per second; Lightning's default of 100 slows the thread that feeds the GPU."""


def precision_of(trainer: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the precision of a `trainer` group on this machine, and the reason."""
    return resolve_precision(
        trainer["precision"], trainer["accelerator"], trainer.get("devices", 1)
    )


def batches_per_epoch(config: Mapping[str, Any], datamodule: ImageDataModule) -> int:
    """Returns the number of training batches in an epoch, within the limits of the `trainer` group."""
    if isinstance(datamodule, CustomDataModule):
        batches = datamodule.batches_per_epoch
    else:
        batches = datamodule.sizes["train"] // datamodule.batch_size
    spec = config["trainer"]
    limit = spec.get("overfit_batches") or spec.get("limit_train_batches")
    if limit is None:
        return batches
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)


def check_sizes(config: Mapping[str, Any], datamodule: ImageDataModule) -> None:
    """Checks that there are enough images for a batch, and for validation if a setting needs it.

    Raises:
        InputError: the batch is larger than the training split.
        ConfigError: the validation split is empty.
    """
    training, batch = datamodule.sizes["train"], datamodule.batch_size
    if isinstance(datamodule, CustomDataModule):
        if not datamodule.has_validation:
            _check_monitors(config, f"{datamodule.source.name} has no val_dataloader; add one")
        return
    spec = config["trainer"]
    processes = count_processes(spec["devices"], spec["accelerator"]) * spec.get("num_nodes", 1)
    check_batch_size(batch, training, processes)
    if datamodule.has_validation or not datamodule.val_fraction:
        return
    user = next(_needs_validation(config), None)
    if user is not None:
        share = min(0.5, math.ceil(100 / training) / 100)
        raise ConfigError(
            f"data.val_fraction={datamodule.val_fraction}: leaves 0 of {training:,} training images "
            f"for validation, but {user} needs them; set data.val_fraction={share} or more, set it to "
            "0 to train without validation, or add images"
        )


def _needs_validation(config: Mapping[str, Any]) -> Iterator[str]:
    """Yields the settings that use validation metrics."""
    for name, spec in (config.get("callbacks") or {}).items():
        monitor = str((spec or {}).get("monitor", ""))
        if monitor.startswith("val/"):
            yield f"callbacks.{name}.monitor={monitor}"
    if str(config["scheduler"].get("_target_", "")).endswith(".plateau"):
        yield "scheduler=plateau"


def build_trainer(
    config: Mapping[str, Any],
    path: Path,
    batches_per_epoch: int,
    has_validation: bool,
    first_step: int = 0,
    report: Report | None = None,
) -> L.Trainer:
    """Builds the Trainer of a training run.

    Args:
        config: checked config as plain values; `trainer`, `callbacks`, `logger`, `tags`, `compile` and
            `objective` are used.
        path: run directory.
        batches_per_epoch: number of training batches in an epoch.
        has_validation: True if there is a validation split.
        first_step: step from which a resumed run replaces logged values.
        report: reports the objective of each epoch to a study, see `Pruning`.

    Raises:
        ConfigError: a callback, a logger or the Trainer rejects a value.
    """
    quieten_lightning()
    spec = dict(config["trainer"])
    spec["precision"], _ = precision_of(spec)
    kind, available = count_devices(spec["accelerator"])
    tune_process(kind)
    if kind in ("gpu", "cuda") and spec.get("benchmark") is None:
        spec["benchmark"] = not spec[
            "deterministic"
        ]  # the fastest algorithm varies from run to run
    spec["strategy"] = build_strategy(spec)
    if sees_own_device(available):
        spec["devices"] = 1
    spec["log_every_n_steps"] = max(1, min(spec["log_every_n_steps"], batches_per_epoch))
    if not has_validation:
        spec["limit_val_batches"] = 0
    has_validation = spec.get("limit_val_batches") != 0
    profiler = PROFILERS.get(spec.pop("profiler", None))
    shows_progress = spec.pop("enable_progress_bar")
    show_bar = shows_progress and sys.stdout.isatty()
    callbacks = build_callbacks(config.get("callbacks") or {}, has_validation)
    _check_names(config)
    if config.get("compile") and any(isinstance(callback, LayerTimes) for callback in callbacks):
        raise ConfigError(
            f"compile={config['compile']}: layers of a compiled network cannot be timed; "
            "set compile=false, or remove callbacks.layer_times"
        )
    _check_averages(config.get("callbacks") or {}, callbacks, spec["max_epochs"])
    if report:
        callbacks.append(Pruning(report, config["objective"]))
    if shows_progress and is_notebook():
        callbacks = [one for one in callbacks if not isinstance(one, Progress)] + [LiveDisplay()]
    if show_bar:
        callbacks.append(ProgressBar(refresh_rate=BAR_REFRESHES))
    if isinstance(spec["strategy"], DDPStrategy):
        callbacks.append(SharedBuffers())
    trainer: L.Trainer = build_part(
        spec,
        "trainer",
        L.Trainer,
        callbacks=callbacks,
        logger=build_loggers(
            config.get("logger") or {}, path, first_step, config.get("tags") or []
        ),
        plugins=[AtomicCheckpointIO(), cluster_environment()],
        profiler=profiler(dirpath=path, filename="profile") if profiler else None,
        default_root_dir=str(path),
        enable_progress_bar=show_bar,
        # else Lightning adds its own checkpoint callback
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        enable_model_summary=False,
        use_distributed_sampler=False,  # the loaders shard without duplicated samples
    )
    disable_signal_handling(trainer)
    return trainer


def build_callbacks(
    specs: Mapping[str, Mapping[str, Any] | None], has_validation: bool
) -> list[Callback]:
    """Builds the callbacks of a config, without those that are null.

    Raises:
        ConfigError: a callback monitors a validation metric, but there is no validation.
    """
    callbacks = [
        build_part(spec, f"callbacks.{name}", Callback)
        for name, spec in specs.items()
        if spec is not None
    ]
    if not has_validation:
        remedy = "data.val_fraction=0 or trainer.limit_val_batches=0; set both above 0"
        _check_monitors({"callbacks": specs}, f"there is no validation with {remedy}")
    return callbacks


def _check_monitors(config: Mapping[str, Any], reason: str) -> None:
    """Raises ConfigError if a callback that is not ours monitors a validation metric."""
    for name, spec in (config.get("callbacks") or {}).items():
        monitor = str((spec or {}).get("monitor", ""))
        if monitor.startswith("val/") and not _is_ours(spec):
            raise ConfigError(
                f"callbacks.{name}.monitor={monitor}: {reason} or remove the callback"
            )


def _check_names(config: Mapping[str, Any]) -> None:
    """Raises ConfigError if a callback monitors a metric that the training does not log.

    Metrics of users may have any name; they are checked after the first validation.
    """
    specs = [spec for spec in (config.get("callbacks") or {}).values() if spec]
    if not all(str(spec["_target_"]).startswith(OF_FRAMEWORKS) for spec in specs):
        return
    extra = [*(config.get("metrics") or {}), "objective_loss"]
    logged = [
        f"{stage}/{name}" for stage in ("train", "val") for name in ("loss", *ACCURACIES[stage])
    ]
    logged += [f"val/{name}" for name in extra]
    for name, spec in (config.get("callbacks") or {}).items():
        monitor = str((spec or {}).get("monitor") or logged[0])
        section = "/".join(monitor.split("/")[:2])
        if section not in logged and not monitor.startswith(("lr", "throughput/")):
            raise ConfigError(
                f"callbacks.{name}.monitor={monitor}: is not a metric of this run; available: "
                f"{', '.join(logged[:-1])}"
            )


def _check_averages(
    specs: Mapping[str, Any], callbacks: Sequence[Callback], max_epochs: int
) -> None:
    """Checks that at most one callback averages the weights, and within the run.

    Raises:
        ConfigError: there are two averages, or one that begins after the run.
    """
    averages = [callback for callback in callbacks if isinstance(callback, WeightAveraging)]
    if len(averages) > 1:
        names = " and ".join(type(callback).__name__ for callback in averages)
        raise ConfigError(
            f"callbacks: {names} both replace the weights; keep one of them, for example with "
            "callbacks.ema=null"
        )
    for name, spec in specs.items():
        first = (spec or {}).get("from_epoch")
        if isinstance(first, int) and first > max_epochs:
            raise ConfigError(
                f"callbacks.{name}.from_epoch={first}: is after the last epoch; allowed: 1 to "
                f"{max_epochs}"
            )


def _is_ours(spec: Mapping[str, Any]) -> bool:
    """Returns True for callbacks of vgg_lit, which all work without a validation split."""
    return str(spec["_target_"]).startswith("vgg_lit.")

"""The Lightning Trainer of a config, with what every run of ours needs."""

import inspect
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.loggers import Logger

from vgg_lit.checkpoints import AtomicCheckpointIO
from vgg_lit.config import resolve_precision
from vgg_lit.targets import ConfigError, instantiate, locate


def precision_of(trainer: Mapping[str, Any]) -> tuple[str, str]:
    """The precision that a `trainer` group comes to on this machine, and why."""
    return resolve_precision(trainer["precision"], trainer["accelerator"])


def build_trainer(config: Mapping[str, Any], path: Path, has_validation: bool) -> L.Trainer:
    """The Trainer of a training run.

    Args:
        config: plain and checked; `trainer`, `callbacks` and `logger` are read.
        path: the run directory.
        has_validation: whether callbacks may monitor `val/...`.

    Raises:
        ConfigError: a callback, logger or the Trainer refuses a value.
    """
    # What Lightning says at each start (tips, devices found) is in our own header, or noise.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    spec = dict(config["trainer"])
    spec["precision"], _ = precision_of(spec)
    show_bar = spec.pop("enable_progress_bar") and sys.stdout.isatty()
    callbacks = build_callbacks(config.get("callbacks") or {}, has_validation)
    if show_bar:
        callbacks.append(RichProgressBar(leave=False))
    return instantiate(
        spec,
        key="trainer",
        callbacks=callbacks,
        logger=build_loggers(config.get("logger") or {}, path),
        plugins=[AtomicCheckpointIO()],
        default_root_dir=str(path),
        enable_progress_bar=show_bar,
        enable_checkpointing=True,
        enable_model_summary=False,
        use_distributed_sampler=False,  # our loaders shard themselves, without double counting
    )


def build_callbacks(
    specs: Mapping[str, Mapping[str, Any] | None], has_validation: bool
) -> list[Callback]:
    """The callbacks of a config; one that is set to null is left out.

    Raises:
        ConfigError: a callback monitors validation where there is none.
    """
    callbacks: list[Callback] = []
    for name, spec in specs.items():
        if spec is None:
            continue
        callback = instantiate(spec, key=f"callbacks.{name}")
        monitor = str(spec.get("monitor", ""))
        needs_validation = monitor.startswith("val/") and not _is_ours(spec)
        if needs_validation and not has_validation:
            raise ConfigError(
                f"callbacks.{name}.monitor={monitor}: data.val_fraction=0 leaves nothing to "
                f"validate; set it above 0 or drop the callback"
            )
        callbacks.append(callback)
    return callbacks


def _is_ours(spec: Mapping[str, Any]) -> bool:
    """Our own callbacks know what to do without a validation split."""
    return str(spec["_target_"]).startswith("vgg_lit.")


def build_loggers(specs: Mapping[str, Mapping[str, Any] | None], path: Path) -> list[Logger]:
    """The loggers of a config, each told to write into the run directory."""
    loggers = []
    for name, spec in specs.items():
        if spec is not None:
            key = f"logger.{name}"
            takes = inspect.signature(locate(spec["_target_"], key=key)).parameters
            place = (
                {"save_dir": str(path)} if "save_dir" in takes and "save_dir" not in spec else {}
            )
            loggers.append(instantiate(spec, key=key, **place))
    return loggers

"""Checks of a composed config that need no data.

`check_train(config)` runs before any process starts or any file is written. It imports torch but not
Lightning, builds the network on the meta device and the optimiser for one weight, and takes about two seconds.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException
from pydantic import ValidationError

from vgg_lit.config.near_matches import dotted, hint, nearest_value
from vgg_lit.config.network_checks import check_batch_norm, check_network
from vgg_lit.config.schema import Data, Init, Section, Train, Trainer
from vgg_lit.data.custom_groups import FOUND, is_custom
from vgg_lit.errors import ConfigError, one_line
from vgg_lit.models.data_arguments import DataShape
from vgg_lit.renamed_settings import with_new_names
from vgg_lit.targets import explain, instantiate, trust
from vgg_lit.value_types import MAX_SIDE, Spec, as_written


def to_plain(config: DictConfig, without: str | None = None) -> dict[str, Any]:
    """Returns a composed config as plain Python values, with all interpolations resolved.

    Args:
        config: config composed by Hydra.
        without: a key to leave out because some of its values are not set yet.

    Raises:
        ConfigError: a value is missing (`???`) or an interpolation has no target.
    """
    if without:
        config = OmegaConf.masked_copy(config, [str(key) for key in config if key != without])
    _add_unknown(config)
    plain: Any = {}
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        if not missing:
            plain = OmegaConf.to_container(config, resolve=True)
    except InterpolationToMissingValueError as error:
        # an interpolation of a missing value
        missing = re.findall(r"Missing mandatory value: (\S+)", str(error))
    except OmegaConfBaseException as error:
        message = one_line(error).partition(" full_key: ")[0]
        raise ConfigError(f"{error.full_key}: {message}") from error
    if missing:
        raise ConfigError(f"{missing[0]}: is needed; set it with {missing[0]}=...")
    assert isinstance(plain, dict)
    return with_new_names({str(key): value for key, value in plain.items()})


def _add_unknown(config: DictConfig) -> None:
    """Adds null to a custom `data` group for properties that the data give when they are loaded."""
    data: Any = None if OmegaConf.is_missing(config, "data") else config.get("data")
    if isinstance(data, DictConfig) and "_target_" in data and is_custom(data):
        for name in FOUND:
            if name not in data:
                OmegaConf.update(config, f"data.{name}", None, force_add=True)


SectionT = TypeVar("SectionT", bound=Section)


def check_section(plain: Mapping[str, Any], schema: type[SectionT], section: str = "") -> SectionT:
    """Checks the names, types and ranges of one section; returns its settings.

    Raises:
        ConfigError: the message names the key, its value and the allowed values.
    """
    try:
        return schema.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        key = f"{section}.{name}" if section else name
        if first["type"] == "extra_forbidden":
            names = [field.alias or name for name, field in schema.model_fields.items()]
            known = {own: value for own, value in plain.items() if own in names}
            prefix = f"{section}." if section else ""
            keys = [*(f"{prefix}{own}" for own in names), *dotted(known, prefix)]
            raise ConfigError(
                f"unknown key {key}; {hint(key, keys)}allowed: {', '.join(names)}"
            ) from None
        if first["type"] == "missing":
            raise ConfigError(f"{key}: is needed and not set") from None
        reason = explain([item for item in error.errors() if item["loc"][0] == name])
        value = as_written(plain.get(name))
        if first["type"] == "dict_type":
            parts = [k for k, part in plain.items() if isinstance(part, Mapping) and name in part]
            options = [f"{part}.{name}" for part in parts]
            if section and name in Train.model_fields:  # data.augment, which is the group `augment`
                options.append(name)
            meant = "".join(f"did you mean {option}={value}? " for option in options)
            raise ConfigError(f"{key}={value}: {meant}{key} is a section of settings") from None
        near = nearest_value(key, value, re.findall(r"'([^']+)'", reason))
        meant = f"did you mean {near}? " if near else ""
        raise ConfigError(f"{key}={value}: {meant}{reason}") from None


def check_train(plain: dict[str, Any], overrides: Sequence[str] = ()) -> Train:
    """Checks a training config; returns its settings.

    Args:
        plain: the config.
        overrides: overrides of the command line, for those that would have no effect.

    Raises:
        ConfigError: the first problem, in one line.
    """
    config = check_section(plain, Train)
    trust(config.trusted_targets)
    is_own_data = config.data.get("_target_") == "vgg_lit.ImageDataModule"
    data = check_section(config.data, Data, "data") if is_own_data else None
    if data:
        _check_side(data)
    is_lightning = config.trainer.get("_target_") == "lightning.pytorch.Trainer"
    trainer = check_section(config.trainer, Trainer, "trainer") if is_lightning else None
    if is_custom(config.data) and config.cache_features:
        raise ConfigError(f"cache_features=true: not supported for {config.data['_target_']}")
    check_section(config.init, Init, "init")
    _check_finders(config)
    # The checks above do not need torch, which takes seconds to import.
    if data:
        _check_folds(data, overrides)
    if trainer:
        check_devices(trainer, batch_size=config.data.get("batch_size"))
    instantiate(config.augment, key="augment")
    num_classes = check_source(config.data)
    model, net = check_network(config.model, DataShape.of(config.data, num_classes))
    from vgg_lit import optim
    from vgg_lit.weights import fine_tuning

    check_loss(config.loss, num_classes)
    check_metrics(plain.get("metrics") or {}, num_classes)
    optim.check_optimizer(config.optimizer, config.scheduler)
    fine_tuning.check_fine_tuning(plain | {"model": model}, net)
    optimizer = config.optimizer
    optim.parameter_groups(
        net, optimizer.get("layer_rates") or {}, optimizer.get("layer_epochs") or {}
    )
    if trainer:
        check_batch_norm(net, config, trainer)
    return config


def check_loss(spec: Spec, num_classes: int | None) -> None:
    """Checks the `loss` group; a method for class weights is computed when the data are loaded.

    Raises:
        ConfigError: the loss cannot be built.
    """
    import torch

    from vgg_lit.losses import Objective, class_weights

    weights = spec.get("class_weights")
    if isinstance(weights, str):
        spec = {**spec, "class_weights": class_weights(weights, torch.arange(2), 2)}
        num_classes = 2
    elif isinstance(weights, list):
        num_classes = num_classes or len(weights)
    Objective(spec, num_classes or 2)


def check_metrics(specs: Mapping[str, Spec | None], num_classes: int | None) -> None:
    """Checks the `metrics` group.

    Raises:
        ConfigError: a metric cannot be built.
    """
    if any(spec is not None for spec in specs.values()):
        from vgg_lit.split_metrics import build_extra_metrics

        build_extra_metrics(specs, num_classes or 2)


def _check_finders(config: Train) -> None:
    """Checks the settings of `find_lr` and `find_batch_size` against the others."""
    if not (config.find_lr or config.find_batch_size):
        return
    finder = "find_lr=true" if config.find_lr else "find_batch_size=true"
    if is_custom(config.data) and config.find_batch_size:
        raise ConfigError(f"{finder}: not supported for {config.data['_target_']}")
    trainer, optimizer = config.trainer, config.optimizer
    for key, value in (("resume", config.resume), ("ckpt_path", config.ckpt_path)):
        if value:
            raise ConfigError(
                f"{finder}: cannot be combined with {key}={value}, which restores values"
            )
    devices = trainer["devices"]
    if trainer["num_nodes"] != 1 or (devices not in (1, "auto") and devices != [0]):
        raise ConfigError(
            f"{finder}: needs one process; find the value with trainer.devices=1, then set it"
        )
    if trainer.get("fast_dev_run"):
        raise ConfigError(f"{finder}: cannot be combined with trainer.fast_dev_run: too few steps")
    if config.find_lr and optimizer.get("layer_rates"):
        raise ConfigError(
            "find_lr=true: finds one rate for all layers; cannot be combined with optimizer.layer_rates"
        )
    if config.find_lr and {"sgd_lr", "adamw_lr"}.intersection(optimizer):
        raise ConfigError(
            f"find_lr=true: finds one rate; cannot be combined with {optimizer['_target_']}, which has two"
        )
    if config.find_lr and "lr" not in optimizer:
        raise ConfigError(f"find_lr=true: needs an lr in the settings of {optimizer['_target_']}")


def _check_side(data: Data) -> None:
    if data.image_size > MAX_SIDE:
        raise ConfigError(f"data.image_size={data.image_size}: allowed: at most {MAX_SIDE} pixels")


def _check_folds(data: Data, overrides: Sequence[str]) -> None:
    from vgg_lit.data.datamodule_options import check_fold

    check_fold(data.fold, data.folds, "data.")
    typed = [word for word in overrides if word.lstrip("+").startswith("data.val_fraction=")]
    if data.folds and typed:
        raise ConfigError(
            f"{typed[-1].removeprefix('++')}: has no effect with data.folds={data.folds}, where one fold is validated on; "
            "remove one of the two"
        )


def check_source(data: Spec) -> int | None:
    """Builds the source of the data set, which lists a folder's classes but reads no image.

    Returns:
        The number of classes; None if custom data do not set it.

    Raises:
        ConfigError: there is no such folder, or it has another number of classes than the config.
    """
    from vgg_lit.data.sources import build_source

    if not isinstance(data.get("source"), dict):
        return data.get("num_classes")
    classes = build_source(data["source"]).classes
    if data["num_classes"] not in (None, len(classes)):
        raise ConfigError(
            f"data.num_classes={data['num_classes']}: the data have {len(classes)} classes"
        )
    return len(classes)


def check_devices(trainer: Trainer, batch_size: int | None) -> None:
    """Checks that the devices exist and that their number divides the global batch size.

    Raises:
        ConfigError: a device does not exist, or the batch size is not divisible; the message names the
            allowed values.
    """
    from vgg_lit.system.hardware import count_devices, count_processes
    from vgg_lit.system.launch import sees_own_device

    kind, available = count_devices(trainer.accelerator)
    devices = trainer.devices
    wanted = count_processes(devices, trainer.accelerator)
    if isinstance(devices, list) and kind == "cpu":
        raise ConfigError(
            f"trainer.devices={devices}: a list needs GPUs; on the CPU, set a number of processes"
        )
    if isinstance(devices, list) and (not devices or max(devices) >= available):
        raise ConfigError(
            f"trainer.devices={devices}: no such device; allowed: {list(range(available))}"
        )
    if wanted > available and not sees_own_device(available):
        raise ConfigError(
            f"trainer.devices={wanted}: this machine has {available} for accelerator={kind}; "
            f"allowed: 1 to {available}"
        )
    world_size = wanted * trainer.num_nodes
    if batch_size is not None and batch_size % world_size:
        below = batch_size // world_size * world_size
        near = [size for size in (below, below + world_size) if size > 0]
        raise ConfigError(
            f"data.batch_size={batch_size}: is not divisible by {world_size} processes; "
            f"nearest that are: {' and '.join(map(str, near))}"
        )

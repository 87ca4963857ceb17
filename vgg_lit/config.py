"""Every check of a composed config that needs no data.

`check_train(config)` runs before anything is started or written: it imports torch but not Lightning,
builds the network on the meta device and the optimiser for one weight, and takes about two seconds.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException
from pydantic import ValidationError

from vgg_lit.schema import Data, Init, Section, Spec, Train, Trainer
from vgg_lit.targets import ConfigError, explain, instantiate, one_line, trust, unknown_key

if TYPE_CHECKING:
    from torch import nn


def to_plain(config: DictConfig, without: str | None = None) -> dict[str, Any]:
    """The composed config as plain Python values, every interpolation resolved.

    Args:
        config: as Hydra composed it.
        without: a key to leave out, because its values are not all known yet.

    Raises:
        ConfigError: a value is missing (`???`) or an interpolation leads nowhere.
    """
    if without:
        config = OmegaConf.masked_copy(config, [str(key) for key in config if key != without])
    plain: Any = {}
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        if not missing:
            plain = OmegaConf.to_container(config, resolve=True)
    except InterpolationToMissingValueError as error:
        # a key that takes its value from a missing one
        missing = re.findall(r"Missing mandatory value: (\S+)", str(error))
    except OmegaConfBaseException as error:
        message = one_line(error).partition(" full_key: ")[0]
        raise ConfigError(f"{error.full_key}: {message}") from error
    if missing:
        raise ConfigError(f"{missing[0]}: is needed; set it with {missing[0]}=...")
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


SectionT = TypeVar("SectionT", bound=Section)


def check(plain: Mapping[str, Any], schema: type[SectionT], section: str = "") -> SectionT:
    """Checks names, types and ranges of one section.

    Raises:
        ConfigError: naming the key, its value and what is allowed.
    """
    try:
        return schema.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        key = f"{section}.{name}" if section else name
        if first["type"] == "extra_forbidden":
            names = [field.alias or name for name, field in schema.model_fields.items()]
            raise ConfigError(unknown_key(section, name, names)) from None
        if first["type"] == "missing":
            raise ConfigError(f"{key}: is needed and not set") from None
        same_key = [item for item in error.errors() if item["loc"][0] == name]
        raise ConfigError(f"{key}={_value_at(plain, name)}: {explain(same_key)}") from None


def _value_at(plain: Mapping[str, Any], name: str) -> str:
    value = plain.get(name)
    return "null" if value is None else str(value)


def check_train(plain: dict[str, Any]) -> Train:
    """Every check of a training config; fills in nothing.

    Raises:
        ConfigError: the first thing that is wrong, in one line.
    """
    config = check(plain, Train)
    trust(config.trusted_targets)
    if config.data.get("_target_") == "vgg_lit.ImageDataModule":
        _check_side(check(config.data, Data, "data"))
    if config.trainer.get("_target_") == "lightning.pytorch.Trainer":
        trainer = check(config.trainer, Trainer, "trainer")
        check_devices(trainer, batch_size=config.data.get("batch_size"))
    check(config.init, Init, "init")
    _check_finders(config)
    instantiate(config.augment, key="augment")
    num_classes = check_source(config.data)
    net = check_model(config.model, num_classes)
    from vgg_lit import optim
    from vgg_lit.trained import fine_tuning

    optim.check(config.optimizer, config.scheduler)
    fine_tuning.check(plain, net)
    return config


def _check_finders(config: Train) -> None:
    """Checks that what is to be found before training can be, and would be used."""
    if not (config.find_lr or config.find_batch_size):
        return
    finder = "find_lr=true" if config.find_lr else "find_batch_size=true"
    trainer, optimizer = config.trainer, config.optimizer
    for key, value in (("resume", config.resume), ("ckpt_path", config.ckpt_path)):
        if value:
            raise ConfigError(f"{finder}: not with {key}={value}, which brings its own values")
    devices = trainer["devices"]
    if trainer["num_nodes"] != 1 or (devices not in (1, "auto") and devices != [0]):
        raise ConfigError(
            f"{finder}: takes one process; find the value with trainer.devices=1 and pass it on"
        )
    if trainer.get("fast_dev_run"):
        raise ConfigError(f"{finder}: not with trainer.fast_dev_run, which takes too few steps")
    if config.find_lr and optimizer.get("layer_rates"):
        raise ConfigError("find_lr=true: not with optimizer.layer_rates: it finds one rate for all")
    if config.find_lr and "sgd_lr" in optimizer:
        raise ConfigError(
            f"find_lr=true: not with {optimizer['_target_']}, which has two rates: it finds one for all"
        )
    if config.find_lr and "lr" not in optimizer:
        raise ConfigError(f"find_lr=true: {optimizer['_target_']} is given no lr to replace")


def _check_side(data: Data) -> None:
    from vgg_lit.data.preprocessing import MAX_SIDE

    if data.image_size > MAX_SIDE:
        raise ConfigError(f"data.image_size={data.image_size}: at most {MAX_SIDE} pixels")


def check_source(data: Spec) -> int | None:
    """Builds the data set's source, which looks at a folder's classes but reads no image.

    Returns:
        The number of classes; None if data of one's own kind do not say it.

    Raises:
        ConfigError: there is no such folder, or its classes are not as many as the config says.
    """
    from vgg_lit.data.sources import build_source

    if not isinstance(data.get("source"), dict):
        return data.get("num_classes")
    classes = build_source(data["source"]).classes
    if data["num_classes"] not in (None, len(classes)):
        raise ConfigError(f"data.num_classes={data['num_classes']}: the data have {len(classes)}")
    return len(classes)


def check_devices(trainer: Trainer, batch_size: int | None) -> None:
    """Checks that the devices exist and the global batch divides over them.

    Raises:
        ConfigError: more devices than there are, or a batch that does not divide; names what does.
    """
    from vgg_lit.hardware import count_devices, count_processes

    kind, available = count_devices(trainer.accelerator)
    devices = trainer.devices
    wanted = count_processes(devices, trainer.accelerator)
    if isinstance(devices, list) and kind == "cpu":
        raise ConfigError(f"trainer.devices={devices}: on the CPU give a number of processes")
    if isinstance(devices, list) and (not devices or max(devices) >= available):
        raise ConfigError(f"trainer.devices={devices}: this machine's are {list(range(available))}")
    if wanted > available:
        raise ConfigError(
            f"trainer.devices={wanted}: this machine has {available} for accelerator={kind}; "
            f"allowed: 1 to {available}"
        )
    world_size = wanted * trainer.num_nodes
    if batch_size is not None and batch_size % world_size:
        below = batch_size // world_size * world_size
        near = [size for size in (below, below + world_size) if size > 0]
        raise ConfigError(
            f"data.batch_size={batch_size}: does not divide over {world_size} processes; "
            f"nearest that do: {' and '.join(map(str, near))}"
        )


def check_model(spec: Spec, num_classes: int | None) -> "nn.Module":
    """The network without its weights, on the meta device.

    Args:
        spec: the `model` group.
        num_classes: what the group leaves open where the data decide it; None if they do not say.

    Raises:
        ConfigError: an argument is wrong, e.g. an image size that the pools do not allow.
    """
    import torch

    from vgg_lit.hardware import memory_bytes
    from vgg_lit.models.weightless import weightless

    if spec.get("num_classes", 0) is None:
        spec = {**spec, "num_classes": num_classes or 2}
    try:
        with weightless():
            net = instantiate(spec, key="model")
    except (RuntimeError, OverflowError) as error:  # of shapes that no tensor can have
        raise ConfigError(f"model: {one_line(error)}") from error
    if not isinstance(net, torch.nn.Module):
        raise ConfigError(f"model._target_={spec['_target_']}: makes no network (torch.nn.Module)")
    needed = sum(parameter.nbytes for parameter in net.parameters())
    if needed > memory_bytes():
        raise ConfigError(
            f"model: its weights take {needed / 2**30:,.0f} GiB, and this machine has "
            f"{memory_bytes() / 2**30:,.0f} GiB of memory"
        )
    return net

"""Composition of a command's config in Python, with the same overrides and errors as in the shell.

config = compose("model=vgg16_bn", seed=1)
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vgg_lit.config.checks import check_section, check_train, to_plain
from vgg_lit.config.group_options import config_folder
from vgg_lit.config.hydra_versions import VERSION_BASE
from vgg_lit.config.local_defaults import drop_foreign_settings
from vgg_lit.config.plain_texts import with_quotes
from vgg_lit.config.refusals import explain_refusal, with_key
from vgg_lit.config.resolvers import register_resolvers
from vgg_lit.config.schema import COMMANDS, GROUPS
from vgg_lit.errors import (
    InputError,
    OutOfMemory,
    TrainingError,
    disk_error,
    is_of_memory,
    one_line,
    path_error,
    unknown,
)
from vgg_lit.system.overrides import as_overrides, with_home


def compose(*overrides: str, command: str = "train", **settings: Any) -> DictConfig:
    """Returns the config of a command, composed and checked as in the shell before Lightning is imported.

    The arguments of callbacks and loggers, and files such as runs and checkpoints, are checked when the
    command itself runs.

    Args:
        overrides: arguments of the command, e.g. `"model=vgg16_bn"`, `"optimizer.lr=0.05"`.
        command: name of the command.
        settings: settings by name, e.g. `seed=1`; those in a section as `**{"optimizer.lr": 0.05}` or
            `optimizer={"lr": 0.05}`.

    Raises:
        InputError: there is no such command, an override cannot be applied, or a value is invalid.
    """
    if command not in COMMANDS:
        raise unknown("command", command, COMMANDS)
    typed = typed_overrides(overrides, settings)
    config = own_settings(compose_with_hydra(command, typed))
    drop_foreign_settings(config, command, typed)
    with errors_in_one_line():
        plain = to_plain(config)
        if command == "train":
            check_train(plain, typed)
        else:
            check_section(plain, COMMANDS[command])
    return config


def compose_with_hydra(command: str, arguments: Sequence[str]) -> DictConfig:
    """Returns the config of a command together with Hydra's settings.

    Raises:
        InputError: an override cannot be applied.
    """
    register_resolvers()
    outer = GlobalHydra.instance().hydra  # of a program that uses Hydra itself
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(config_folder()), **VERSION_BASE):
            return hydra.compose(command, list(arguments), return_hydra_config=True)
    except Exception as error:  # Hydra raises many types, such as ValueError for a group of null
        raise InputError(explain_refusal(error, command, arguments)) from None
    finally:
        GlobalHydra.instance().hydra = outer


def own_settings(config: DictConfig) -> DictConfig:
    """Returns a composed config without Hydra's settings."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def typed_overrides(overrides: Sequence[Any], settings: dict[str, Any]) -> list[str]:
    """Returns the overrides of a call, first the texts and then the settings by name.

    Raises:
        InputError: an override is not a text, or is a flag.
    """
    for override in overrides:
        if not isinstance(override, str):
            raise InputError(f"{override!r}: is not an override; allowed: texts such as 'seed=1'")
        if override.startswith("-"):
            raise InputError(
                f"{override}: is a flag of the shell's command; allowed: overrides such as 'seed=1'"
            )
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if key in GROUPS and isinstance(value, Mapping):
            flat |= {f"{key}.{name}": one for name, one in value.items()}
        else:
            flat[key] = value
    return with_quotes(with_home([*overrides, *as_overrides(flat)]))


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Raises the errors of a command that are not bugs as `InputError` or `TrainingError`, with one line.

    Raises:
        InputError: an error of OmegaConf, or of a path that no file can have.
        OutOfMemory: memory has run out.
        TrainingError: a disk cannot be used.
    """
    try:
        yield
    except (InputError, TrainingError):
        raise
    except OmegaConfBaseException as error:
        raise InputError(with_key(error)) from None
    except Exception as error:
        if is_of_memory(error):
            remedy = "reduce batch_size or the network"
            message = f"out of memory: {one_line(error)[:300]}; {remedy}"
            raise OutOfMemory(message) from error
        if problem := path_error(error):
            raise InputError(problem) from error
        if cause := disk_error(error):
            place = cause.filename or "disk"
            raise TrainingError(f"{place}: cannot be used: {cause.strerror}") from error
        raise

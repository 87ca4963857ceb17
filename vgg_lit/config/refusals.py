"""Refused command lines: formats the errors of Hydra and OmegaConf as one line with the allowed values."""

import re
import sys
from collections.abc import Sequence
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from vgg_lit.config.group_options import config_folder
from vgg_lit.config.hydra_versions import VERSION_BASE
from vgg_lit.errors import disk_error, one_line, unknown_key

LAUNCHERS = {"hydra_submitit_launcher": "slurm", "hydra_ray_launcher": "ray"}
"""Packages of third-party launchers, and the extras of this package that install them."""


def explain_refusal(error: Exception, config_name: str, arguments: Sequence[str]) -> str:
    """Formats an error of Hydra as one line, with the allowed keys or files.

    Args:
        error: error of Hydra or of a config.
        config_name: name of the composed config.
        arguments: arguments of the command line.
    """
    message = one_line(error)
    if (cause := disk_error(error)) and cause.filename:
        remedy = "hydra.run.dir=<folder> (with -m: hydra.sweep.dir) names another place"
        return f"{cause.filename}: cannot be created ({cause.strerror}); {remedy}"
    if isinstance(error, AssertionError | OSError) and not isinstance(error, HydraException):
        # from an invalid setting in the `hydra` section
        settings = [argument for argument in arguments if "hydra." in argument or "=" in argument]
        return f"{' '.join(settings)}: invalid setting of Hydra ({message})"
    if match := re.search(r"Could not override '([^']+)'", message):
        section, _, name = match.group(1).rpartition(".")
        allowed = _keys_of(section, config_name, arguments)
        return unknown_key(section, name, allowed) if allowed else f"unknown key {match.group(1)}"
    if match := re.search(r"Unknown plugin class *: '([\w.]+)'", message):
        needed = [extra for package, extra in LAUNCHERS.items() if package in match.group(1)]
        remedy = f"; pip install 'vgg_lit[{needed[0]}]'" if needed else ""
        return f"hydra.launcher._target_={match.group(1)}: is not installed{remedy}"
    if match := re.search(
        r"Could not find '(\w+)/([^']+)' Available options in '\w+': (.+?)(?: Config search path|$)",
        message,
    ):
        group, choice, options = match.groups()
        return f"{group}={choice}: there is no such config; allowed: {', '.join(options.split())}"
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override}: is not a valid key=value; quote a value with spaces, commas or =: "
            f"""'key="value"'"""
        )
    if "Config group override must be a string" in message:
        wrong = [argument for argument in arguments if _is_no_choice(argument)]
        return f"{', '.join(wrong)}: the value of a group is the name of one of its configs, such as none"
    if isinstance(error, OmegaConfBaseException):
        return with_key(error)
    if isinstance(error.__cause__, OmegaConfBaseException):
        message = f"{message} {one_line(error.__cause__)}"
    return message


def with_key(error: OmegaConfBaseException) -> str:
    """Formats an OmegaConf error as `key: message`.

    Without a key in the error, names the overrides with an interpolation.
    """
    message = one_line(error).partition(" full_key: ")[0]
    key = error.full_key or ", ".join(argument for argument in sys.argv[1:] if "${" in argument)
    return f"{key}: {message}" if key and key not in message else message


def _is_no_choice(argument: str) -> bool:
    """Returns True if an override sets a group to a number or null, which no config is named."""
    group, _, choice = argument.partition("=")
    is_group = not group or (config_folder() / group).is_dir()
    return is_group and (choice == "null" or not re.match(r"[^\W\d]|\[", choice))


def _keys_of(section: str, config_name: str, arguments: Sequence[str]) -> list[str]:
    """Returns the keys of a section of the config, composed with the chosen groups; empty on error."""
    folder = config_folder()
    groups = [
        argument
        for argument in arguments
        if re.fullmatch(r"\w+=[\w,\[\]]+", argument) and (folder / argument.split("=")[0]).is_dir()
    ]
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(folder), **VERSION_BASE):
            config: Any = hydra.compose(config_name, overrides=groups)
            for part in section.split(".") if section else []:
                config = config[part]
            return [str(key) for key in config]
    except Exception:  # only a hint of the message; the original error is reported
        return []

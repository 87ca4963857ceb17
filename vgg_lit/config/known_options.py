"""The options of a group to which settings belong, by the files in conf/.

known_option("augment", {"_target_": "vgg_lit.data.FlipCrop", "padding": 4, "flip": True})  # "flip_crop"
selecting("scheduler", "patience")                                                # "scheduler=plateau"
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from vgg_lit.config.differences import flattened
from vgg_lit.config.group_options import BASES, config_folder

VARIANTS = "vgg_lit.models.build"
"""The function of all VGG networks; its argument `variant` names them."""

MOST_OPTIONS = 4
"""Options that a hint names."""


def known_option(group: str, section: Any) -> str | None:
    """Returns the option in conf/ with the values of a section; None if there is none, or if several fit.

    Of a class with one option, other values are those of this option with overrides. A VGG network with
    other values has the name of its variant.
    """
    if not isinstance(section, Mapping):
        return None
    values = dict(flattened(section))
    target = values.get("_target_")
    options = {
        name: own
        for name, own in _options(config_folder() / group).items()
        if own.get("_target_") == target
    }
    sizes = {name: len(own) for name, own in options.items() if own.items() <= values.items()}
    # an option has all settings of one that it extends
    largest = [name for name, size in sizes.items() if size == max(sizes.values())]
    for found in (largest, list(options)):
        if len(found) == 1:
            return found[0]
    variant = values.get("variant")
    return variant if target == VARIANTS and isinstance(variant, str) else None


def selecting(group: str, key: str) -> str:
    """Returns the overrides that select an option with a setting, joined by "or"; empty if there is none.

    The arguments are those of `options_with`.
    """
    names = options_with(group, key)[:MOST_OPTIONS]
    if group == "callbacks":
        names = [f"[{','.join(dict.fromkeys(('default', name)))}]" for name in names]
    return " or ".join(f"{group}={name}" for name in names)


def options_with(group: str, key: str) -> list[str]:
    """Returns the options of a group in conf/ that have a setting.

    Args:
        group: name of the group.
        key: the setting in the group, such as `ema.decay`; the last part, such as `decay`, is enough.
    """
    return [
        name
        for name, keys in _keys(config_folder() / group).items()
        if (group, name) not in BASES
        and any(key == own or ("." not in key and own.endswith(f".{key}")) for own in keys)
    ]


@cache
def _keys(folder: Path) -> dict[str, list[str]]:
    """Returns the dotted keys of the options in a folder by name."""
    files = sorted(folder.glob("*.yaml"))
    return {file.stem: [key for key, _ in flattened(_content(file))] for file in files}


@cache
def _options(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns the settings of the options in a folder by name, without those that refer to others."""
    return {
        file.stem: {
            key: value
            for key, value in flattened(_content(file))
            if not (isinstance(value, str) and value.startswith(("${", "???")))
        }
        for file in sorted(folder.glob("*.yaml"))
    }


def _content(file: Path) -> dict[str, Any]:
    """Returns the settings of an option and of those that it extends; empty if a file cannot be read."""
    try:
        own = OmegaConf.to_container(OmegaConf.load(file))
        if not isinstance(own, dict):
            return {}
        merged: Any = OmegaConf.create()
        for entry in own.pop("defaults", ()):
            name, _, package = str(entry).partition("@")
            base = _content(file.with_name(f"{name}.yaml")) if name != "_self_" else {}
            merged = OmegaConf.merge(merged, {package: base} if package else base)
        found: Any = OmegaConf.to_container(OmegaConf.merge(merged, own))
    except (OSError, ValueError, YAMLError, OmegaConfBaseException):
        return {}
    return dict(found)

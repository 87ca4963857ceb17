"""The keys and options that a command line may set, also those of a folder of `--config-dir`.

known_keys("train", ["experiment=first", "--config-dir", "conf"])    # ['seed', 'model', 'model.width', ...]
"""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from vgg_lit.config.command_line import value_of_flag
from vgg_lit.config.group_options import config_folder, groups_of, options_of
from vgg_lit.config.hydra_versions import VERSION_BASE
from vgg_lit.config.near_matches import dotted
from vgg_lit.system.overrides import as_overrides

CHOICE = re.compile(r"(\w+)=(\[[\w,/-]*\]|[\w/-]+)(?:,[\w,/-]*)?")
"""The choice of a group; of a sweep, the first value is read."""

SEARCH_PATH = "hydra.searchpath="


def known_keys(config_name: str, arguments: Sequence[str]) -> list[str]:
    """Returns the sections and dotted keys of a command's config with the chosen groups.

    Without the chosen groups, if they cannot be composed; empty if the config itself cannot be composed.
    """
    known = groups_of(config_name, config_folder())
    unset = [group for group, option in known.items() if not option]
    for chosen in (arguments, ()):
        GlobalHydra.instance().clear()
        try:
            groups = [*_search_path(chosen), *_choices(chosen, known)]
            with hydra.initialize_config_dir(str(config_folder()), **VERSION_BASE):
                name = value_of_flag(chosen, "config-name") or config_name
                config: Any = OmegaConf.to_container(hydra.compose(name, overrides=groups))
        except Exception:  # only a hint of the message; the original error is reported
            continue
        return [*dotted(config), *unset]
    return []


def known_options(group: str, arguments: Sequence[str] = ()) -> list[str]:
    """Returns the names of the options of a group, first those of this package."""
    given = value_of_flag(arguments, "config-dir")
    folders = [config_folder(), *([Path(given)] if given else [])]
    names = [option.name for folder in folders for option in options_of(group, None, folder)]
    return list(dict.fromkeys(names))


def _choices(arguments: Sequence[str], groups: Collection[str]) -> list[str]:
    matches = [match for typed in arguments if (match := CHOICE.fullmatch(typed))]
    return [f"{match[1]}={match[2]}" for match in matches if match[1] in groups]


def _search_path(arguments: Sequence[str]) -> list[str]:
    """Returns the override with the other folders of configs that a command line names, if there are any."""
    folder = value_of_flag(arguments, "config-dir")
    places = [f"file://{Path(folder).absolute()}"] if folder and Path(folder).is_dir() else []
    for typed in arguments:
        if typed.startswith(SEARCH_PATH):
            (override,) = OverridesParser.create().parse_overrides([typed])
            places += override.value()  # type: ignore[arg-type]
    return as_overrides({"hydra.searchpath": places}) if places else []

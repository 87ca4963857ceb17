"""The place of the data set of a run on this machine.

    located(run.config, asked_places(config))["data"]["root"]       # "/datasets"

`data.root=` names the data set, `data_root=` the folder of data sets; both work alike in every command that
reads the data of a run. Without them the recorded place is used; if there is nothing, the same path below the
`data_root` of this machine.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from vgg_lit.config.checks import to_plain
from vgg_lit.config.differences import flattened
from vgg_lit.errors import InputError
from vgg_lit.system.files import expanded, shown_path
from vgg_lit.system.operating_system import relative
from vgg_lit.system.overrides import key_of


@dataclass(frozen=True)
class Places:
    """Places of data in the config of a command.

    Attributes:
        root: place of the data set; None: not set.
        data_root: folder of data sets; None: not set.
        typed: the keys that the command line sets; other values are the defaults of this machine.
    """

    root: str | None
    data_root: str | None
    typed: frozenset[str]


PLACE_SETTINGS = ("data_root", "data.root")


def asked_places(config: DictConfig, overrides: Sequence[str] | None = None) -> Places:
    """Returns the places in the composed config of a command that reads a run.

    Args:
        config: composed config.
        overrides: overrides of the command line; None: those of Hydra.
    """
    typed = overrides
    if typed is None:
        typed = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    keys = frozenset(map(key_of, typed))
    data = config.get("data")
    has_root = isinstance(data, DictConfig) and not OmegaConf.is_missing(data, "root")
    root = OmegaConf.select(config, "data.root") if has_root else None
    return Places(root, OmegaConf.select(config, "data_root"), keys)


def new_config(config: DictConfig) -> dict[str, Any]:
    """Returns the composed config of a new training as plain values, with absolute places.

    Raises:
        InputError: a path or another text is not UTF-8, so that `config.yaml` could not be read.
    """
    placed = with_absolute_places(to_plain(config))
    for key, value in flattened(placed):
        if not _is_utf8(text := json.dumps(value, ensure_ascii=False, default=str)):
            raise InputError(f"{key}={shown_path(text)}: is not UTF-8; give a path in UTF-8")
    return placed


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def with_absolute_places(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the config of a training in which the places of data are absolute paths.

    In a working directory whose path is not UTF-8, relative places stay.
    """
    place = place_of(config.get("data") or {})
    placed = dict(config)
    if isinstance(config.get("data_root"), str):
        placed["data_root"] = _recorded(config["data_root"])
    return _moved(placed, _recorded(place)) if place else placed


def located(config: Mapping[str, Any], asked: Places) -> dict[str, Any]:
    """Returns the config of a run in which the place of the data set is that on this machine.

    Args:
        config: config of the run.
        asked: places in the config of the command.

    Raises:
        InputError: the data set has no place, or `data_root` does not contain it.
    """
    place = place_of(config.get("data") or {})
    if "data.root" in asked.typed and asked.root is not None:
        if place is None:
            raise InputError(f"data.root={asked.root}: the data set of the run has no folder")
        return _moved(config, _absolute(asked.root))
    if place is None:
        return dict(config)
    if "data_root" in asked.typed and asked.data_root:
        found = _below(config, place, asked.data_root)
        if found is None:
            raise InputError(
                f"data_root={asked.data_root}: has no {shown_path(_name(place))}; to name the "
                f"data set itself: data.root=<place>"
            )
        return _moved(config, found) | {"data_root": _absolute(asked.data_root)}
    if os.path.exists(place):
        return dict(config)
    if asked.root is not None and os.path.exists(asked.root):
        return _moved(config, _absolute(asked.root))
    found = _below(config, place, asked.data_root) if asked.data_root else None
    if found is not None:
        return _moved(config, found)
    return dict(config)


def is_same_place(data: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Returns True if two `data` groups name the same place, or both none."""
    place, elsewhere = place_of(data), place_of(other)
    if place is None or elsewhere is None:
        return place is elsewhere
    return os.path.realpath(_absolute(place)) == os.path.realpath(_absolute(elsewhere))


def place_of(data: Mapping[str, Any]) -> str | None:
    """Returns the place of the data set of a `data` group; None if it has none."""
    source = data.get("source")
    source = source if isinstance(source, Mapping) else {}
    for value in (source.get("root"), data.get("root")):
        if isinstance(value, str):
            return value
    path = source.get("path")
    return path if isinstance(path, str) and (os.path.isabs(path) or os.path.isdir(path)) else None


def _moved(config: Mapping[str, Any], place: str) -> dict[str, Any]:
    data = dict(config["data"])
    if isinstance(data.get("root"), str):
        data["root"] = place
    if isinstance(data.get("source"), Mapping):
        key = "root" if "root" in data["source"] else "path"
        if key in data["source"]:
            data["source"] = {**data["source"], key: place}
    return {**config, "data": data}


def _below(config: Mapping[str, Any], place: str, data_root: str) -> str | None:
    """Returns the same place below another folder of data sets, by its path or its name there."""
    before = config.get("data_root")
    paths = [_name(place)]
    if isinstance(before, str):
        inside = str(relative(_absolute(place), _absolute(before)))
        if inside == os.curdir:
            return _absolute(data_root)
        if not inside.startswith(os.pardir):
            paths.insert(0, inside)
    candidates = [os.path.join(_absolute(data_root), path) for path in paths]
    return next((path for path in candidates if os.path.exists(path)), None)


def _name(path: str) -> str:
    return os.path.basename(os.path.normpath(path))


def _recorded(path: str) -> str:
    absolute = _absolute(path)
    return absolute if _is_utf8(absolute) else path


def _absolute(path: str) -> str:
    return os.path.abspath(expanded(path))

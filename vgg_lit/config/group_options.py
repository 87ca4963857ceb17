"""The groups of configs and their options, described by the first comment of each file."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vgg_lit.config.schema import COMMANDS
from vgg_lit.config.schema.sections import Section

HIDDEN = ("hydra", "local")
NOT_A_DESCRIPTION = ("# @package", "# yaml-language-server:")
BASES = {("data", "base")}
"""Files that only other files of their group extend."""


def config_folder() -> Path:
    """Returns the folder of configs: in the package in a wheel, next to the package in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


@dataclass(frozen=True)
class Option:
    """An option of a group: the name of its file and one sentence."""

    name: str
    description: str


def groups_of(command: str, conf: Path) -> dict[str, str | None]:
    """Returns the groups of a command and their default options; None if there is none."""
    config: Any = OmegaConf.to_container(OmegaConf.load(conf / f"{command}.yaml"))
    found: dict[str, str | None] = {}
    for entry in config["defaults"]:
        if isinstance(entry, str) and entry in COMMANDS:
            found |= groups_of(entry, conf)
        elif not isinstance(entry, str):
            ((key, value),) = entry.items()
            group = key.removeprefix("optional ")
            if not group.startswith(("override ", *HIDDEN)):
                found[group] = value if value is None or isinstance(value, str) else value[0]
    return found


def options_of(group: str, default: str | None, conf: Path) -> list[Option]:
    """Returns the options of a group, the default first and the others by name."""
    files = sorted((conf / group).glob("*.yaml"), key=lambda file: _by_number(file.stem))
    options = [
        Option(file.stem, description(file)) for file in files if (group, file.stem) not in BASES
    ]
    return sorted(options, key=lambda option: option.name != default)


def description(file: Path) -> str:
    """Returns the first comment line of a config that describes it; empty if there is none."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and not line.startswith(NOT_A_DESCRIPTION):
            return line.removeprefix("#").strip()
    return ""


def description_of_group(group: str) -> str:
    """Returns the description of the setting that holds a group; of experiment and debug, their own."""
    described = {
        "experiment": "Recipes: a network, data and settings of training; several groups at once.",
        "debug": "Short trainings that find mistakes.",
    }
    fields = (section.model_fields.get(group) for section in _sections())
    return described.get(group) or next(str(field.description) for field in fields if field)


def _sections() -> Iterator[type[Section]]:
    yield from (COMMANDS["train"], COMMANDS["tune"])


def _by_number(name: str) -> list[int | str]:
    """Returns a key that sorts the numbers in names by value."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]

"""The generated blocks of docs/reference.md: tables of the groups and of all settings."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from vgg_lit.config.group_options import description_of_group, groups_of, options_of
from vgg_lit.config.help_text import sections_of
from vgg_lit.config.schema import COMMANDS, ProcessLauncherSettings
from vgg_lit.config.setting_rows import SettingRow, setting_rows


def reference_blocks(conf: Path) -> dict[str, str]:
    """Returns the Markdown of each generated block by name."""
    return {
        "groups": "\n\n".join(_groups(conf)),
        "settings": "\n\n".join(_commands(conf)),
    }


def _groups(conf: Path) -> Iterator[str]:
    groups = groups_of("tune", conf)
    settings = sections_of("tune", conf)
    lines = ["| group | options | |", "|---|---|---|"]
    for group, default in groups.items():
        names = ", ".join(f"`{option.name}`" for option in options_of(group, default, conf))
        none = " None by default." if default is None else ""
        lines.append(f"| `{group}` | {names} | {description_of_group(group)}{none} |")
    yield "\n".join(lines)
    for group, default in groups.items():
        yield f"### {group}"
        options = [
            f"| `{option.name}` | {_cell(option.description)} |"
            for option in options_of(group, default, conf)
        ]
        yield "\n".join([f"| option of `{group}` | |", "|---|---|", *options])
        if rows := settings.get(f"Settings of {group}"):
            yield _table(f"setting of `{group}`", rows)


def _commands(conf: Path) -> Iterator[str]:
    for command in COMMANDS:
        yield f"### {command}"
        names = [f"`{group}`" for group in groups_of(command, conf)]
        if command == "tune":
            yield "All settings and groups of `train`, for all trials, and those of the search."
        elif names:
            yield f"Groups: {', '.join(names)}."
        yield _table(f"`{command}`", sections_of(command, conf)["Settings"])
    yield "### hydra.launcher"
    yield "The process launcher of sweeps."
    yield _table("`hydra.launcher`", setting_rows(ProcessLauncherSettings, "hydra.launcher."))


def _table(heading: str, rows: Iterable[SettingRow]) -> str:
    lines = [f"| {heading} | allowed | default | |", "|---|---|---|---|"]
    for row in rows:
        cells = (f"`{row.key}`", row.allowed, row.default, row.description)
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Returns text for a cell of a table, in which `<` and `|` have no meaning."""
    for character in ("|", "<", "*"):
        text = text.replace(character, f"\\{character}")
    return text

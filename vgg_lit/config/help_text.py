"""The generated part of a command's help: its groups, common overrides and all settings."""

import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from string import Template

import yaml

from vgg_lit.config.group_options import groups_of, options_of
from vgg_lit.config.schema import COMMANDS, GROUPS
from vgg_lit.config.setting_rows import SettingRow, setting_rows, values_by_option

WIDTH = 80
KEY_WIDTH = 26

COMMON = {
    "train": [
        "trainer.max_epochs=18",
        "trainer.devices=2",
        "trainer.precision=32-true",
        "data.batch_size=256",
        "data.val_fraction=0",
        "data.train_size=1000",
        "data.image_size=64",
        "data_root=/datasets",
        "optimizer.lr=0.05",
        "model.width=0.25",
        "model.head=cifar",
        "loss.label_smoothing=0",
        "compile=true",
        "find_lr=true",
        "resume=auto",
        "seed=1",
    ]
}
"""Overrides that users type most, by command."""


def read_help(command: str, conf: Path) -> str:
    """Returns the help of a command, which does not depend on its arguments, so that Hydra is not needed."""
    file = conf / "hydra" / "help" / f"{command}.yaml"
    parts = yaml.safe_load(file.read_text(encoding="utf-8"))
    text = parts["template"]
    for name in ("header", "footer"):
        text = text.replace(f"${{hydra.help.{name}}}", parts[name])
    return Template(text).substitute()


def help_template(command: str, conf: Path) -> str:
    """Returns the `template` of a command's file in conf/hydra/help, as YAML."""
    blocks = ["${hydra.help.header}", *_blocks(command, conf), "${hydra.help.footer}"]
    lines = "\n\n".join(blocks).splitlines()
    return "template: |-\n" + "".join(f"  {line}".rstrip() + "\n" for line in lines)


def _blocks(command: str, conf: Path) -> Iterator[str]:
    groups = groups_of(command, conf)
    if groups:
        yield _choices("Choose with group=option (the default is first)", groups, conf)
    if command == "train":
        others = {g: d for g, d in groups_of("tune", conf).items() if g not in groups}
        yield _choices("Groups of python -m vgg_lit.tune", others, conf)
    rows = sections_of(command, conf)
    every = {row.key: row for section in rows.values() for row in section}
    if command in COMMON:
        common = [_common(override, every) for override in COMMON[command]]
        yield "\n".join(["Most used overrides", *common])
    for title, section in rows.items():
        yield "\n".join([title, *map(_setting, section)])


def sections_of(command: str, conf: Path) -> dict[str, list[SettingRow]]:
    """Returns the settings of a command by heading: the command's own, then those of each group."""
    section = COMMANDS[command]
    rows = list(setting_rows(section))
    inherited = {
        row.key
        for base in section.__bases__
        if base in COMMANDS.values()
        for row in setting_rows(base)
    }
    titled = {"Settings": [row for row in rows if row.key not in inherited]}
    if inherited:
        titled["Settings of each training"] = [row for row in rows if row.key in inherited]
    for group, default in groups_of(command, conf).items():
        if group in GROUPS and default not in (None, "none"):
            titled[f"Settings of {group}"] = list(_rows_of_group(group, conf))
    return titled


def _rows_of_group(group: str, conf: Path) -> Iterator[SettingRow]:
    """Yields the settings of a group, with the values in its files where the schema has no default."""
    values = values_by_option(conf / group)
    for row in setting_rows(GROUPS[group], f"{group}."):
        in_files = values.get(row.key.removeprefix(f"{group}."), "")
        yield replace(row, default=row.default or in_files)


def _choices(title: str, groups: dict[str, str | None], conf: Path) -> str:
    lines = [title]
    for group, default in groups.items():
        names = [option.name for option in options_of(group, default, conf)]
        none = " (none by default)" if default is None else ""
        lines += _wrapped(f"{group}:", f"{', '.join(names)}{none}", key_width=12)
    return "\n".join(lines)


def _common(override: str, rows: dict[str, SettingRow]) -> str:
    key = override.partition("=")[0]
    return "\n".join(_wrapped(override, rows[key].description))


def _setting(row: SettingRow) -> str:
    default = f"default: {row.default}" if row.default != "needed" else "needed"
    details = "; ".join(part for part in (row.allowed, default if row.default else "") if part)
    return "\n".join(_wrapped(row.key, f"{row.description} ({details})"))


def _wrapped(key: str, text: str, key_width: int = KEY_WIDTH) -> list[str]:
    """Returns the lines of a key and its text, in two columns."""
    indent = " " * (2 + key_width)
    lines = textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )
    if len(key) < key_width - 1:
        lines[0] = f"  {key:<{key_width}}{lines[0].lstrip()}"
        return lines
    return [f"  {key}", *lines]

"""Rows of text for help and reference: `setting_rows(Trainer, "trainer.")` yields one for each setting."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from pydantic import BaseModel

from vgg_lit.config.differences import flattened
from vgg_lit.config.schema import COMMANDS, GROUPS, SUBSECTIONS
from vgg_lit.config.schema.sections import NEEDED
from vgg_lit.value_types import as_written

LARGEST_SEED = 2**32

SEVERAL = ("callbacks", "logger", "metrics")
"""Groups of which a command can have several options."""


@dataclass(frozen=True)
class SettingRow:
    """A setting in words.

    Attributes:
        key: dotted key, as on the command line.
        allowed: type, range or choices.
        default: default value; empty if it depends on the chosen option.
        description: one sentence.
    """

    key: str
    allowed: str
    default: str
    description: str


def setting_rows(section: type[BaseModel], prefix: str = "") -> Iterator[SettingRow]:
    """Yields the settings of a section and of the sections in it; leaves out groups and targets.

    Args:
        section: class of the section.
        prefix: key of the section with a dot at the end; empty for a command.
    """
    schema = section.model_json_schema(by_alias=True)
    yield from _rows(schema, schema.get("$defs", {}), prefix)


def takes_list(command: str, key: str) -> bool:
    """Returns True if the value of a setting of a command can be a list; also if its type is not known."""
    rows = [*setting_rows(COMMANDS[command])]
    for group, section in GROUPS.items():
        rows += setting_rows(section, f"{group}.")
    types = {row.key: row.allowed for row in rows}
    return "list" in types[key] if key in types else "." in key or key in SEVERAL


def _rows(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str
) -> Iterator[SettingRow]:
    for name, field in schema["properties"].items():
        key = f"{prefix}{name}"
        is_group = name in (*GROUPS, "space") and _is_mapping(field)
        if name == "_target_" or (not prefix and is_group):
            continue
        inner = [_definition(branch, definitions) for branch in field.get("anyOf", [field])]
        nested = [branch for branch in inner if branch]
        if key in SUBSECTIONS:
            yield from setting_rows(SUBSECTIONS[key], f"{key}.")
        elif nested:
            yield from _rows(nested[0], definitions, f"{key}.")
        else:
            default = ""
            if "default" in field:
                default = str(field.get("shown", shown(field["default"])))
            yield SettingRow(key, allowed(field), default, field["description"])


def _is_mapping(field: Mapping[str, Any]) -> bool:
    """Returns True if a field holds a group; `metrics` of compare is a list of names."""
    return any(branch.get("type") == "object" for branch in field.get("anyOf", [field]))


def _definition(
    branch: Mapping[str, Any], definitions: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    branch = branch.get("allOf", [branch])[0]  # around a reference, from pydantic before 2.9
    return definitions[branch["$ref"].rpartition("/")[2]] if "$ref" in branch else None


def allowed(field: Mapping[str, Any]) -> str:
    """Returns the type, range or choices of a field's JSON Schema in words."""
    kinds: list[str] = []
    choices: list[str] = []
    for branch in field.get("anyOf", [field]):
        if "enum" in branch or "const" in branch:
            choices += [shown(value) for value in branch.get("enum", [branch.get("const")])]
        elif branch.get("type") == "boolean":
            choices += ["true", "false"]
        elif branch.get("type") == "null":
            choices.append("null")
        elif branch.get("type") == "array":
            items = allowed(branch.get("items", {}))
            kinds.append(f"list of {items}" if items else "list")
        else:
            name = {"string": "text", "object": "mapping"}.get(branch.get("type", ""))
            kinds.append((name or branch.get("type", "")) + _range(branch))
    return " or ".join([*kinds, *([", ".join(choices)] if choices else [])])


def _range(branch: Mapping[str, Any]) -> str:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = []
    for name, sign in signs.items():
        if name in branch:
            bound = "2**32" if branch[name] == LARGEST_SEED else f"{branch[name]:g}"
            bounds.append(f"{sign} {bound}")
    return f" {' and '.join(bounds)}" if bounds else ""


def shown(value: Any) -> str:
    """Returns a value as it is written in a config; an interpolation as the key that it follows."""
    text = as_written(value)
    if text == NEEDED:
        return "needed"
    return f"as {text[2:-1]}" if text.startswith("${") else text


def values_by_option(folder: Path) -> dict[str, str]:
    """Returns the values of each key in the files of a group: `0.1 (sgd), 0.001 (adam, adamw)`."""
    options: dict[str, dict[str, list[str]]] = {}
    for file in sorted(folder.glob("*.yaml")):
        content: Any = OmegaConf.to_container(OmegaConf.load(file))
        content.pop("defaults", None)
        for key, value in flattened(content):
            if not (isinstance(value, str) and value.startswith(("${", NEEDED))):
                options.setdefault(key, {}).setdefault(shown(value), []).append(file.stem)
    return {
        key: ", ".join(f"{value} ({', '.join(names)})" for value, names in values.items())
        for key, values in options.items()
    }

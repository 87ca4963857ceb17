"""The JSON Schema of the files in conf/, for editors with the YAML language server.

The first comment of a file names its part of the schema, relative to the file:

    # yaml-language-server: $schema=../schema.json#/$defs/optimizer
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from vgg_lit.config.schema import COMMANDS, GROUPS, SUBSECTIONS

INTERPOLATION = {"$ref": "#/$defs/interpolation"}
DEFAULTS = {"type": "array", "description": "Hydra's defaults list: the configs to start from."}
HYDRA = {"type": "object", "description": "Settings of Hydra."}


def editor_schema() -> dict[str, Any]:
    """Returns the schema: a definition for each command and group, and for experiment and debug files."""
    definitions: dict[str, Any] = {
        "interpolation": {"type": "string", "pattern": r"^\?\?\?$|\$\{.*\}"}
    }
    for name, section in GROUPS.items():
        definitions[name] = _file(section, name, definitions)
    definitions["space"] = {
        "type": "object",
        "description": "Ranges of a search by key.",
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    }
    for name, section in SUBSECTIONS.items():
        parent, _, key = name.rpartition(".")
        definitions[name] = _file(section, name, definitions)
        if parent:
            definitions[parent]["properties"][key] = _group_of(definitions[parent], key, name)
    for name, section in COMMANDS.items():
        command = _file(section, name, definitions)
        command["properties"]["hydra"] = HYDRA
        for key in command["properties"]:
            holds_group = '"object"' in json.dumps(command["properties"][key])
            if key in definitions and key != name and holds_group:
                command["properties"][key] = _group_of(command, key, key)
        definitions[name] = command
    for name in ("experiment", "debug"):
        definitions[name] = {"$ref": "#/$defs/train"}  # every key of train is optional
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": "Generated from vgg_lit/config/schema by python -m vgg_lit.config.documents.",
        "$defs": definitions,
    }


def _group_of(parent: Mapping[str, Any], key: str, name: str) -> dict[str, Any]:
    """Returns the schema of a key that holds a group: the group, null or an interpolation."""
    described = {"description": parent["properties"][key]["description"]}
    branches = [{"$ref": f"#/$defs/{name}"}, {"type": "null"}, INTERPOLATION]
    return {**described, "anyOf": branches}


def _file(section: type[BaseModel], name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of a file: every key is optional, and a defaults list is allowed.

    Adds the sections inside it to `definitions`.
    """
    schema = section.model_json_schema(by_alias=True)
    for inner, definition in schema.pop("$defs", {}).items():
        definitions[inner] = _part(definition)
    part = _part(schema)
    part["description"] = f"Settings of {name}."
    part["properties"] = {"defaults": DEFAULTS, **part["properties"]}
    return part


def _part(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: _value(value) for name, value in schema["properties"].items()},
        "additionalProperties": schema.get("additionalProperties", False),
    }


def _value(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the schema of a value or, in its place, an interpolation."""
    about = {key: schema[key] for key in ("description", "default") if key in schema}
    branches = [_branch(branch) for branch in schema.get("anyOf", [schema])]
    if not any(branch in ({"type": "string"}, {}) for branch in branches):
        branches.append(INTERPOLATION)
    return {**about, **branches[0]} if len(branches) == 1 else {**about, "anyOf": branches}


def _branch(schema: Mapping[str, Any]) -> dict[str, Any]:
    without = ("title", "description", "default", "shown")
    branch = {key: value for key, value in schema.items() if key not in without}
    for inner in ("items", "additionalProperties"):
        if isinstance(branch.get(inner), dict):
            branch[inner] = _value(branch[inner])
    return branch

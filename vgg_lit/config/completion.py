"""Completion in a shell: runs, groups and their options, keys, and the values of settings with fixed choices.

eval "$(vgg-evaluate -sc install=bash)"

Hydra completes the rest: values of other settings, paths, and its own settings.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vgg_lit.config.command_line import value_of_flag
from vgg_lit.config.group_options import config_folder, groups_of
from vgg_lit.config.known_keys import known_keys, known_options
from vgg_lit.config.refusals import WITH_VALUE
from vgg_lit.config.schema import COMMANDS, GROUPS, SUBSECTIONS
from vgg_lit.system.log_folders import RUNS, SETS_OF_RUNS

WORD = re.compile(r"([\w.]*)(=\[?(?:[^,]*,)*)?(.*)")
"""The key of an override, the values before the last one, and the beginning of the last one."""

TAKE_RUNS = ("run", "runs", "resume", "init.from", "loss.teacher")

MARKS = ("config.yaml", "sweep.json", "trials")
"""Names in the directory of a run, a sweep and a study."""


def print_completions(command: str, arguments: Sequence[str]) -> bool:
    """Prints the words that complete the line of a shell; returns False if Hydra is to complete it, or to run.

    Args:
        command: name of the command.
        arguments: its arguments; `-sc query=<shell>` asks for completions, and the shell passes the line in
            `COMP_LINE` and the place of the cursor in `COMP_POINT`.
    """
    is_query = any(argument.startswith("query=") for argument in arguments)
    if not is_query or not {"-sc", "--shell-completion"}.intersection(arguments):
        return False
    line = os.environ.get("COMP_LINE", "")
    line = line[: int(os.environ.get("COMP_POINT") or len(line))]
    word = re.split(r"\s", line)[-1]
    typed = _words(line[: len(line) - len(word)])[1:]
    found = completed(command, typed, word)
    if found is None:
        # Hydra reads flags neither from the line nor between overrides.
        overrides = [one for one in typed if "=" in one and not one.startswith("-")]
        os.environ["COMP_LINE"] = " ".join([command, *overrides, word])
        folder = value_of_flag(typed, "config-dir")
        sys.argv += ["--config-dir", folder] if folder and Path(folder).is_dir() else []
        return False
    sys.stdout.write("".join(f"{one}\n" for one in found))
    return True


def completed(command: str, typed: Sequence[str], word: str) -> list[str] | None:
    """Returns the words that complete the last one of a line; None if Hydra is to complete it.

    Args:
        command: name of the command.
        typed: the words before it, without the name of the program.
        word: the last word; may be empty.
    """
    if word.startswith("-") or (typed and typed[-1] in WITH_VALUE):
        return []
    match = WORD.fullmatch(word)
    if match is None or match[1].startswith("hydra."):
        return None
    key, before, begun = match.groups()
    if before is None:
        return None if begun else _completed_keys(command, typed, key)
    values = _values(command, typed, key)
    if values is None:
        return None
    return [f"{key}{before}{value}" for value in values if value.startswith(begun)]


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # a quote without its end
        return line.split()


def _completed_keys(command: str, typed: Sequence[str], word: str) -> list[str]:
    """Returns the next part of each key, with `=` or, at a section, with a dot."""
    section = word.rpartition(".")[0]
    keys = known_keys(command, typed)
    groups = groups_of(command, config_folder())
    sections = {key.rpartition(".")[0] for key in keys}
    found = set()
    for key in keys:
        if key.startswith(word) and key.rpartition(".")[0] == section:
            found |= {f"{key}."} if key in sections else {f"{key}="}
            found |= {f"{key}="} if key in groups else set()
    return sorted(found)


def _values(command: str, typed: Sequence[str], key: str) -> list[str] | None:
    """Returns all values of a setting or group; None if they are not a fixed choice."""
    if key in TAKE_RUNS:
        return ["latest", *(["auto"] if key == "resume" else []), *_runs()]
    if key in groups_of(command, config_folder()):
        return known_options(key, typed)
    section, _, name = key.rpartition(".")
    model = {**GROUPS, **SUBSECTIONS}.get(section) if section else COMMANDS[command]
    fields = model.model_json_schema(by_alias=True)["properties"] if model else {}
    if name in fields:
        return list(_choices(fields[name])) or None
    return [] if key and (config_folder() / key).is_dir() else None  # a group of other commands


def _runs() -> list[str]:
    """Returns the directories of runs, sweeps and studies below logs/, the newest of a folder first."""
    paths = [path for place in (*RUNS, *SETS_OF_RUNS) for path in Path("logs").glob(place)]
    found = {str(path) for path in paths if any((path / mark).exists() for mark in MARKS)}
    return sorted(found, reverse=True)


def _choices(field: Mapping[str, Any]) -> Iterator[str]:
    """Yields the values of a field with a fixed choice; none for other fields."""
    branches = field.get("anyOf", [field])
    types = [branch.get("type") for branch in branches]
    fixed = [
        str(value)
        for branch in branches
        for value in (*branch.get("enum", ()), *branch.get("items", {}).get("enum", ()))
    ]
    fixed += ["true", "false"] if "boolean" in types else []
    if fixed:
        yield from fixed
        yield from ["null"] if "null" in types else []

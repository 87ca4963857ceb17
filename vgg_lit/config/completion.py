"""Completion of run directories in a shell, beside Hydra's completion of keys and options.

eval "$(vgg-evaluate -sc install=bash)"
"""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from vgg_lit.system.log_folders import RUNS, SETS_OF_RUNS

KEYS = re.compile(r"(?:^|\s)((?:run|runs|resume)=)(\S*)$")
"""The last word of a line, if it names a run."""

MARKS = ("config.yaml", "sweep.json", "trials")
"""Names in the directory of a run, a sweep and a study."""


def completed_runs(arguments: Sequence[str]) -> list[str] | None:
    """Returns the runs that complete the line of a shell; None if something else is to be completed.

    Args:
        arguments: arguments of the command; `-sc query=<shell>` asks for completions, and the shell passes
            the line in `COMP_LINE` and the place of the cursor in `COMP_POINT`.
    """
    is_query = any(argument.startswith("query=") for argument in arguments)
    if not is_query or not {"-sc", "--shell-completion"}.intersection(arguments):
        return None
    line = os.environ.get("COMP_LINE", "")
    line = line[: int(os.environ.get("COMP_POINT") or len(line))]
    match = KEYS.search(line)
    if match is None:
        return None
    key, begun = match.groups()
    paths = [path for place in (*RUNS, *SETS_OF_RUNS) for path in Path("logs").glob(place)]
    found = {str(path) for path in paths if any((path / mark).exists() for mark in MARKS)}
    return [f"{key}{path}" for path in sorted(found, reverse=True) if path.startswith(begun)]


def print_completions(arguments: Sequence[str]) -> bool:
    """Prints the runs that complete a line; returns False if Hydra is to complete it."""
    found = completed_runs(arguments)
    if found is None:
        return False
    sys.stdout.write("".join(f"{word}\n" for word in found))
    return True

"""The settings that define groups of runs.

effective_settings(differences, ["val/acc"])        # keys of settings that affect the results
named_in_by("lr", differences, settings)            # ["optimizer.lr"]
usual_texts([["lr=1"], ["lr=1"], ["lr=2"]])         # ["lr=1"]
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from vgg_lit.config.differences import (
    WITHOUT_RESULT,
    enclosing_sections,
    last_part,
    named_settings,
)
from vgg_lit.errors import InputError, nearest


def effective_settings(
    differing: Mapping[str, Mapping[str, Any]], shown: Collection[str]
) -> list[str]:
    """Returns the keys of the settings with several values that affect the results.

    Args:
        differing: differing settings, by key and then by run.
        shown: names of the metrics in the tables. Runs that compute one of them with other settings differ.
    """
    quantities = {metric.split("/")[1] for metric in shown if "/" in metric}
    found = []
    for key, values in differing.items():
        section, _, rest = key.partition(".")
        if section == "metrics" and rest.partition(".")[0] in quantities:
            present = {value for value in values.values() if value is not None}
            has_effect = len(present) > 1
        else:
            has_effect = not key.startswith(WITHOUT_RESULT) and len(set(values.values())) > 1
        if has_effect:
            found.append(key)
    return found


def named_in_by(
    name: str, differing: Collection[str], settings: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Returns the differing settings that a name in `by` stands for.

    Args:
        name: a key, its last part, or a section.
        differing: keys of the differing settings.
        settings: all settings, by run and then by key.

    Raises:
        InputError: there is no such setting, or it is the same in all runs.
    """
    if found := named_settings(name, differing):
        return found
    known = dict.fromkeys(key for of_run in settings.values() for key in of_run)
    matches = named_settings(name, known)
    for key in matches:
        values = {str(of_run[key]) for of_run in settings.values() if key in of_run}
        if len(values) > 1 and name in (key, last_part(key)):  # it follows one, as data.seed does
            return [other for other in differing if last_part(other) == last_part(key)]
    which = f"settings that differ: {', '.join(differing) or 'none'}"
    if matches:
        raise InputError(f"by={name}: is the same in all runs; {which}")
    sections = [section for key in known for section in enclosing_sections(key)]
    near = nearest(name, [*sections, *known, *map(last_part, known)])
    raise InputError(f"by={name}: unknown setting.{near} {which.replace('s', 'S', 1)}")


def usual_texts(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns the text of each column that more than half of the rows have; empty if a column has none."""
    usual = [Counter(column).most_common(1)[0] for column in zip(*rows, strict=True)]
    if any(2 * count <= len(rows) for _, count in usual):
        return []
    return [text for text, _ in usual]

"""Names of the options of groups, such as `augment=flip_crop`, in place of classes such as `FlipCrop`.

with_option_names(differing_settings(configs), configs, typed)
undetermined(["optimizer", "optimizer.lr"], differences)        # ["optimizer"], if each has one rate
"""

from collections.abc import Collection, Mapping
from typing import Any

from vgg_lit.config.differences import WITHOUT_RESULT, enclosing_sections
from vgg_lit.config.known_options import known_option
from vgg_lit.reports.data_places import PLACES

Values = Mapping[str, Any]
"""Values of a setting by run, or settings of a run by key."""


def with_option_names(
    differing: Mapping[str, Values],
    configs: Mapping[str, Mapping[str, Any]],
    typed: Mapping[str, Mapping[str, str]],
) -> dict[str, dict[str, Any]]:
    """Returns differing settings in which the options of groups have names.

    A name is the option on the command line, else the option in conf/ with these values, else the class.
    A group whose options have one class is added if all runs have its option on their command lines:
    `model=vgg13_bn_slim` tells more than `model.width=0.25`. A group is unchanged if one name would stand
    for several classes, or if runs with equal settings would have several names.

    Args:
        differing: differing settings, by key and then by run.
        configs: configs by run.
        typed: values on the command lines, by run and then by key.
    """
    found = {key: dict(values) for key, values in differing.items()}
    for group in dict.fromkeys(key.partition(".")[0] for key in differing):
        if any(isinstance(config.get(group), Mapping) for config in configs.values()):
            names = _names(group, differing, configs, typed)
            if names is not None:
                found[group] = names
    return {key: found[key] for key in sorted(found)}


def _names(
    group: str,
    differing: Mapping[str, Values],
    configs: Mapping[str, Mapping[str, Any]],
    typed: Mapping[str, Mapping[str, str]],
) -> dict[str, Any] | None:
    """Returns the names of a group's options by run; None if the group is to be unchanged."""
    options = {run: typed[run].get(group) for run in configs}
    classes = differing.get(group)
    inside = {
        key: values for key, values in differing.items() if group in (key, *enclosing_sections(key))
    }
    if classes is None and (None in options.values() or options in inside.values()):
        return None
    looks = {
        run: tuple(
            values[run]
            for key, values in inside.items()
            if not key.startswith(WITHOUT_RESULT) and key not in PLACES
        )
        for run in configs
    }
    by_look = {look: options[run] for run, look in looks.items() if options[run] is not None}
    names: dict[str, Any] = {}
    for run, look in looks.items():
        name = options[run] or by_look.get(look)
        if name is None and classes is not None:
            name = known_option(group, configs[run].get(group)) or classes[run]
        names[run] = name
    is_clear = _determines(looks, names) and (classes is None or _determines(names, classes))
    return names if is_clear and len(set(names.values())) > 1 else None


def undetermined(
    keys: Collection[str], differences: Mapping[str, Values], kept: Collection[str] = ()
) -> list[str]:
    """Returns the keys without those that the option of a section among them determines.

    If all runs with one optimizer have one learning rate, the optimizer alone tells the runs apart.

    Args:
        keys: keys of `differences`.
        differences: differing settings, by key and then by run.
        kept: keys that are returned in any case.
    """
    return [
        key
        for key in keys
        if key in kept
        or not any(
            _determines(differences[section], differences[key])
            for section in enclosing_sections(key)
            if section in keys
        )
    ]


def _determines(first: Values, second: Values) -> bool:
    """Returns True if runs with the same first value have the same second one."""
    return len({(first[run], second[run]) for run in first}) == len(set(first.values()))

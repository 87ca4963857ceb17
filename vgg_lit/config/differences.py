"""Finds the settings that differ between configs, by dotted key.

differing_settings({"a": {"seed": 0, "optimizer": {"lr": 0.1}}, "b": {"seed": 0, "optimizer": {"lr": 0.2}}})
# {"optimizer.lr": {"a": 0.1, "b": 0.2}}
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from vgg_lit.models.data_arguments import NAMES
from vgg_lit.value_types import as_written

COMMAND_SETTINGS = ("resume", "trusted_targets", "accept_data_changes")
"""Settings of the command, not of the run."""

NEVER_EFFECTIVE = (
    *COMMAND_SETTINGS,
    "name",
    "tags",
    "logger",
    "objective",
    "metrics",
    "data_root",
    "callbacks.checkpointing.every_n",
    "callbacks.checkpointing.asynchronous",
    "callbacks.checkpointing.keep",
    "callbacks.progress",
    "callbacks.layer_times",
    "data.source.num_workers",
    "data.source.in_memory",
    "trainer.process_timeout",
    "trainer.rendezvous_timeout",
    "trainer.log_every_n_steps",
    "trainer.enable_progress_bar",
    "trainer.profiler",
)
"""Prefixes of settings that affect neither the trained weights nor the values of loss and accuracy."""

WITHOUT_RESULT = (*NEVER_EFFECTIVE, "callbacks.tensorboard")
"""Prefixes of settings that do not tell results apart.

All ranks need the callback `tensorboard`, which gathers values from them, so it is not in `WITHOUT_EFFECT`.
"""

WITHOUT_EFFECT = (
    *NEVER_EFFECTIVE,
    "test",
    "data.root",
    "data.source.root",
    "data.test_size",
    "trainer.max_time",
    "trainer.limit_test_batches",
)
"""Prefixes of settings that do not affect the trained weights."""


def differing_settings(
    configs: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Returns the settings that are not equal in all configs, by key and then by run.

    Omits settings that follow another one of the same name (`data.seed` follows `seed`), and settings
    that only some configs have because their sections have different targets (`optimizer.betas`).
    """
    flat = settings_by_run(configs)
    keys = sorted(
        {key for values in flat.values() for key in values}, key=lambda k: (k.count("."), k)
    )
    differing: dict[str, dict[str, Any]] = {}
    followers = set()
    for key in keys:  # sections before their settings
        holders = [
            found
            for found in flat.values()
            if key in found or not any(section in differing for section in enclosing_sections(key))
        ]
        values = {name: found.get(key) for name, found in flat.items()}
        if len({json.dumps(found.get(key)) for found in holders}) == 1:
            continue
        leaf = last_part(key)
        if any(values == differing[other] for other in differing if last_part(other) == leaf):
            followers.add(key)
        differing[key] = values
    return {key: differing[key] for key in sorted(differing) if key not in followers}


def settings_by_run(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns the settings of each run by dotted key; the class of a section is the value of its key."""
    return {
        name: dict(_setting(*item) for item in flattened(config) if item[0] not in COMMAND_SETTINGS)
        for name, config in configs.items()
    }


def enclosing_sections(key: str) -> Iterator[str]:
    """Yields the sections that a setting is in, the innermost first."""
    while "." in key:
        key = key.rpartition(".")[0]
        yield key


def last_part(key: str) -> str:
    """Returns the name of a setting in its section."""
    return key.rpartition(".")[2]


def named_settings(name: str, keys: Collection[str]) -> list[str]:
    """Returns the keys that a name stands for: a key, a section with its settings, or a last part."""
    by_last_part = [key for key in keys if last_part(key) == name]
    return [key for key in keys if key == name or key.startswith(f"{name}.")] or by_last_part


def flattened(
    content: Mapping[str, Any], separator: str = ".", prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yields the joined keys and the values of nested mappings."""
    for name, value in content.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from flattened(value, separator, f"{key}{separator}")
        else:
            yield key, value


def _setting(key: str, value: Any) -> tuple[str, Any]:
    """Returns the key and value to compare: `_target_` is the value of its section, a list one string."""
    section, _, name = key.rpartition(".")
    if name == "_target_":
        return section, str(value).rpartition(".")[2]
    return key, str(value) if isinstance(value, list) else value


def changes(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    prefix: str = "",
    ignoring: Sequence[str] = (),
) -> Iterator[str]:
    """Yields the changed settings that affect the trained weights, as `key=value (was value)`.

    Args:
        before: config of the run.
        after: new config; `num_classes=null` and a method for `class_weights` count as unchanged.
        prefix: prefix of the keys.
        ignoring: more keys to ignore, in addition to the settings without effect.
    """
    for name in dict.fromkeys([*before, *after]):
        key = f"{prefix}{name}"
        old, new = before.get(name), after.get(name)
        if old == new or key.startswith(WITHOUT_EFFECT) or key in ignoring:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from changes(old, new, f"{key}.", ignoring)
        elif not _is_computed(key, old, new) and not _is_moved(name, before, after):
            yield f"{key}={as_written(new)} (was {as_written(old)})"


def _is_computed(key: str, old: Any, new: Any) -> bool:
    """Returns True if a value that was computed is compared with null or with the method that gave it."""
    section, _, name = key.rpartition(".")
    if name == "class_weights":
        return isinstance(old, list) and isinstance(new, str)
    names = ["batch_size", *(name for usual in NAMES.values() for name in usual)]
    is_of_data = name == "num_classes" or (section in ("model", "data") and name in names)
    return new is None and (is_of_data or name == "teacher_sha256")


def _is_moved(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Returns True if the path of a teacher changes, but not its digest."""
    digests = before.get("teacher_sha256"), after.get("teacher_sha256")
    return name == "teacher" and digests[0] is not None and digests[0] == digests[1]

"""Finds the settings that differ between configs, by dotted key.

differing_settings({"a": {"seed": 0, "optimizer": {"lr": 0.1}}, "b": {"seed": 0, "optimizer": {"lr": 0.2}}})
# {"optimizer.lr": {"a": 0.1, "b": 0.2}}
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

BESIDE = ("resume", "trusted_targets")
"""Settings of the command, not of the run."""


def differing_settings(
    configs: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Returns the settings that are not equal in all configs, by key and then by run.

    Omits settings that follow another one of the same name (`data.seed` follows `seed`), and settings
    that only some configs have because their sections have different targets (`optimizer.betas`).
    """
    flat = {name: dict(_flattened(config)) for name, config in configs.items()}
    keys = sorted(
        {key for values in flat.values() for key in values}, key=lambda k: (k.count("."), k)
    )
    differences: dict[str, dict[str, Any]] = {}
    for key in keys:
        section, _, leaf = key.rpartition(".")
        holders = [found for found in flat.values() if section not in differences or key in found]
        values = {name: found.get(key) for name, found in flat.items()}
        is_same = len({json.dumps(found.get(key)) for found in holders}) == 1
        follows = any(
            values == others
            for other, others in differences.items()
            if other.rpartition(".")[2] == leaf
        )
        if not is_same and not follows:
            differences[key] = values
    return dict(sorted(differences.items()))


def _flattened(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields dotted keys and values; a section's value is its `_target_`; lists become strings."""
    for name, value in section.items():
        key = f"{prefix}{name}"
        if key in BESIDE:
            continue
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{key}.")
        elif name == "_target_":
            yield prefix[:-1], str(value).rpartition(".")[2]
        else:
            yield key, str(value) if isinstance(value, list) else value

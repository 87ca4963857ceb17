"""Settings that have moved: earlier configs and command lines keep their meaning.

    with_new_names({"label_smoothing": 0.1, ...})     # {"loss": {"label_smoothing": 0.1, ...}, ...}

It applies to composed configs, to the `config.yaml` of runs and to the settings of studies.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

RENAMED = {"label_smoothing": "loss.label_smoothing"}
"""The new key of each earlier key."""

EARLIER_LOSS = {"_target_": "vgg_lit.losses.CrossEntropy", "label_smoothing": 0.1}
"""The loss of configs of before the `loss` group."""


def with_new_names(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a training config with new keys; other mappings are returned unchanged.

    An earlier key that is set wins over the new one, except for 0 if the loss has no label smoothing.
    """
    changed = dict(config)
    if "label_smoothing" not in changed:
        return changed
    value = changed.pop("label_smoothing")
    loss = changed.get("loss")
    if loss is None:
        loss = EARLIER_LOSS
    if value is not None and isinstance(loss, Mapping) and (value or "label_smoothing" in loss):
        loss = {**loss, "label_smoothing": value}
    return {**changed, "loss": loss}


def with_earlier_splits(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the config of a run; without `data.splitting`, its splits were stratified."""
    data = config.get("data")
    if not isinstance(data, Mapping) or data.get("_target_") != "vgg_lit.ImageDataModule":
        return dict(config)
    return {**config, "data": {"splitting": "stratified", **data}}


def notices(overrides: Sequence[str]) -> Iterator[str]:
    """Yields one line for each override that has an earlier key."""
    for override in overrides:
        key, _, value = override.partition("=")
        if key.lstrip("+") in RENAMED:
            yield f"{override}: is now {RENAMED[key.lstrip('+')]}={value}"

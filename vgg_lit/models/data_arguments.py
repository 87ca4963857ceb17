"""Arguments that a network takes from the data: number of classes, channels and image size.

    spec = with_data_arguments({"_target_": "my_package.MyNet"}, DataShape(10, in_channels=3, image_size=32))

A class receives them only if its signature has an argument for them, under one of the usual names. This
module does not import torch, so that checking a config is fast.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vgg_lit.errors import ConfigError
from vgg_lit.targets import locate

NAMES = {
    "num_classes": ("num_classes", "n_classes", "nb_classes", "num_labels", "n_labels"),
    "in_channels": ("in_channels", "in_chans", "input_channels", "image_channels", "img_channels"),
    "image_size": ("image_size", "img_size"),
}
"""The usual names of an argument, by the property of the data."""

PASSING_CLASSES_ON = "torchvision.models."
"""Prefix of builders that pass an argument `num_classes` on to a class, without naming it."""

STAND_INS = {"num_classes": 2, "in_channels": 3, "image_size": 32}
"""Values of properties that are not known before the data are loaded."""


@dataclass(frozen=True)
class DataShape:
    """The properties of data that a network depends on; None: not known yet."""

    num_classes: int | None = None
    in_channels: int | None = None
    image_size: int | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any], num_classes: int | None = None) -> "DataShape":
        """Returns the properties in a `data` group; `num_classes` replaces a missing one."""
        count = data.get("num_classes") or num_classes
        return cls(count, data.get("in_channels"), data.get("image_size"))

    @property
    def is_known(self) -> bool:
        """Returns True if all properties are known."""
        return None not in (self.num_classes, self.in_channels, self.image_size)


def with_data_arguments(
    spec: Mapping[str, Any], shape: DataShape, has_stand_ins: bool = False
) -> dict[str, Any]:
    """Returns the `model` group with the arguments that its signature takes from the data.

    Arguments that are set stay as they are.

    Args:
        spec: `_target_` and arguments of the network.
        shape: properties of the data.
        has_stand_ins: True uses stand-ins for unknown properties, to build a network without weights.
    """
    if "_target_" not in spec:
        return dict(spec)
    parameters = inspect.signature(locate(spec["_target_"], key="model")).parameters
    completed = dict(spec)
    for name, usual in NAMES.items():
        value = getattr(shape, name)
        if value is None and has_stand_ins:
            value = STAND_INS[name]
        if value is None or any(spec.get(key) is not None for key in usual):
            continue
        taken = [key for key in usual if key in spec or key in parameters]
        if not taken and name == "num_classes" and spec["_target_"].startswith(PASSING_CLASSES_ON):
            taken = [name]
        completed |= dict.fromkeys(taken[:1], value)
    return completed


def check_agreement_with_data(spec: Mapping[str, Any], shape: DataShape) -> None:
    """Checks that the numbers of classes and channels in the `model` group are those of the data.

    Raises:
        ConfigError: one is another number.
    """
    for name, what in (("num_classes", "classes"), ("in_channels", "channels")):
        found = getattr(shape, name)
        for key in NAMES[name]:
            given = spec.get(key)
            if None not in (given, found) and given != found:
                raise ConfigError(
                    f"model.{key}={given}: the data have {found} {what}; remove it, or set "
                    f"model.{key}={found}"
                )

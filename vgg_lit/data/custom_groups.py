"""`data` groups that name a LightningDataModule of the user; imports no framework, for fast checks."""

from collections.abc import Mapping
from typing import Any

DECLARED = ("num_classes", "in_channels", "image_size", "classes", "mean", "std")
"""Keys of the group that describe a data module; its class receives those that it takes."""

FOUND = ("num_classes", "in_channels", "image_size", "batch_size")
"""Keys of the group that the data give, if they are null, when they are loaded."""


def is_custom(spec: Mapping[str, Any]) -> bool:
    """Returns True if a `data` group names a data module of the user, not a source of images."""
    return "source" not in spec and not str(spec.get("_target_")).startswith("vgg_lit.")

"""Builds the data module of a `data` group that names a class of the user.

datamodule = adapt({"_target_": "my_package.MyData", "batch_size": 32})
"""

import inspect
from collections.abc import Mapping
from typing import Any

import lightning as L

from vgg_lit.data.custom_datamodule import CustomDataModule
from vgg_lit.data.custom_groups import DECLARED
from vgg_lit.data.user_code import seeded
from vgg_lit.errors import ConfigError
from vgg_lit.targets import instantiate, locate

OURS = ("augment", "preprocessing", "seed")
"""Arguments of `ImageDataModule`; a class of the user receives those that it takes."""


def adapt(spec: Mapping[str, Any]) -> CustomDataModule:
    """Builds the data module.

    Args:
        spec: the group: `_target_`, its arguments, and values of `DECLARED`; and `preprocessing` of a
            finished run.

    Raises:
        ConfigError: an argument is wrong, or the class is not a LightningDataModule.
    """
    parameters = inspect.signature(locate(spec["_target_"], key="data")).parameters
    optional = (*DECLARED, *OURS, "batch_size", "root")
    given = {
        key: value
        for key, value in spec.items()
        if key not in optional or (key in parameters and value is not None)
    }
    seed = spec.get("seed") or 0
    with seeded(seed, "data"):
        module = instantiate(given, key="data")
    if not isinstance(module, L.LightningDataModule):
        raise ConfigError(f"data._target_={spec['_target_']}: is not a LightningDataModule")
    declared = {key: spec[key] for key in DECLARED if spec.get(key) is not None}
    return CustomDataModule(module, declared, seed, spec.get("preprocessing"))

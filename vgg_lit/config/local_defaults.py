"""Settings of `conf/local/default.yaml` that a command does not have: they are for other commands."""

from collections.abc import Callable
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from vgg_lit.config.schema import COMMANDS

READS_RUNS = frozenset({"evaluate", "visualize", "export", "reproduce"})
"""Commands with `data.root`; the data set itself is that of the run."""


def without_foreign_settings(
    task: Callable[[DictConfig], Any], config_name: str, config: DictConfig
) -> Any:
    """Calls a command without the settings of other commands; typed settings stay, to be refused.

    Args:
        task: the command.
        config_name: name of its config.
        config: composed config.
    """
    schema = COMMANDS[config_name]
    names = {field.alias or name for name, field in schema.model_fields.items()} | {"data"}
    typed = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    keys = [override.partition("=")[0].lstrip("+~") for override in typed]
    sections = {key.partition(".")[0] for key in keys}
    with open_dict(config):
        for name in [str(name) for name in config]:
            if name not in names and name not in sections:
                del config[name]
        data = config.get("data")
        if config_name in READS_RUNS and data is not None and "source" not in data:
            for name in [str(name) for name in data]:
                if name != "root" and f"data.{name}" not in keys:
                    del data[name]
        elif "data" not in schema.model_fields and config_name not in READS_RUNS:
            config.pop("data", None)
    OmegaConf.set_struct(config, True)
    return task(config)

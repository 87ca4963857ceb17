"""Settings of `conf/local/default.yaml` that a command does not have: they are for other commands."""

from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf, open_dict

from vgg_lit.config.schema import COMMANDS
from vgg_lit.system.overrides import key_of

READS_RUNS = frozenset({"evaluate", "visualize", "export", "reproduce"})
"""Commands with `data.root`; the data set itself is that of the run."""

REFUSE_OTHERS = frozenset({"train", "tune"})
"""Commands that refuse the settings of other commands: a mistake in a config file must not change a training."""


def drop_foreign_settings(config: DictConfig, command: str, typed: Sequence[str]) -> None:
    """Removes the settings of other commands from a composed config, except for `train` and `tune`.

    Args:
        config: composed config, changed in place.
        command: name of the command.
        typed: overrides of the command line; their settings stay, to be refused.
    """
    if command in REFUSE_OTHERS:
        return
    schema = COMMANDS[command]
    names = {field.alias or name for name, field in schema.model_fields.items()} | {"data"}
    keys = [key_of(override) for override in typed]
    sections = {key.partition(".")[0] for key in keys}
    with open_dict(config):
        for name in [str(name) for name in config]:
            if name not in names and name not in sections:
                del config[name]
        data = config.get("data")
        if command in READS_RUNS and data is not None and "source" not in data:
            for name in [str(name) for name in data]:
                if name != "root" and f"data.{name}" not in keys:
                    del data[name]
        elif "data" not in schema.model_fields and command not in READS_RUNS:
            config.pop("data", None)
    OmegaConf.set_struct(config, True)

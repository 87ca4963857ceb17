"""The config that a run directory records: `config.yaml`, and the values that a finder replaced.

config = read_config(Path("logs/runs/vgg13_bn_slim/2026-01-31_12-00-00_1f3a"))
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vgg_lit.errors import InputError, one_line
from vgg_lit.renamed_settings import with_earlier_splits, with_new_names
from vgg_lit.system.small_files import read_json, read_yaml

CONFIG_FILE = "config.yaml"

FINDERS = {"optimizer.lr": "find_lr", "data.batch_size": "find_batch_size"}
"""Keys of values that a run can find before training, and the settings that turn this on."""

SECTIONS = (
    *("model", "data", "augment", "loss", "metrics", "optimizer", "scheduler", "trainer"),
    *("callbacks", "logger", "init"),
)
"""Keys of `config.yaml` with settings below them, or null."""


def read_config(run: Path) -> dict[str, Any]:
    """Returns the resolved config of a run as plain values, with the current names of settings.

    Raises:
        InputError: the file is not a YAML mapping, a section in it is not, or a `${` is not closed.
    """
    file = run / CONFIG_FILE
    read = {str(key): value for key, value in read_yaml(file).items()}
    for name in SECTIONS:
        if not isinstance(read.get(name), Mapping | None):
            shown = str(read[name])[:50]
            raise InputError(f"{file}: {name}={shown}: is not a section of settings")
    # Only then, because OmegaConf needs longer than all the rest, and a recorded config has none.
    if "${" in str(read):
        with _naming(file):
            OmegaConf.create(read)
    return with_earlier_splits(with_new_names(read))


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Raises an InputError with the path of the file for values that OmegaConf refuses."""
    try:
        yield
    except OmegaConfBaseException as error:
        raise InputError(f"{file}: cannot be read: {one_line(error)}") from error


def read_network(run: Path) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Returns the sections `model` and `data` and the precision of a run.

    Raises:
        InputError: the config cannot be read, or one of them or `data.batch_size` is missing.
    """
    config = read_config(run)
    try:
        model, data = dict(config["model"]), dict(config["data"])
        data["batch_size"]
        return model, data, config["trainer"]["precision"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{run / CONFIG_FILE}: has no model, data.batch_size or trainer.precision"
        ) from error


def read_typed_config(run: Path) -> dict[str, Any]:
    """Returns the config of a run before `find_lr` and `find_batch_size` replaced values in it.

    Raises:
        InputError: a file cannot be read.
    """
    config = OmegaConf.create(read_config(run))
    file = run / "found.json"
    for key, values in read_json(file, dict[str, dict[str, Any]]).items():
        if key not in FINDERS or "typed" not in values:
            raise InputError(f"{file}: cannot be read: {key}: is not a value that a run can find")
        with _naming(file):
            OmegaConf.update(config, key, values["typed"])
            OmegaConf.update(config, FINDERS[key], True)
    return {str(key): value for key, value in OmegaConf.to_container(config).items()}  # type: ignore[union-attr]

"""The folder of a new run, study or sweep: `hydra.callbacks.output_folder` of the configs."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vgg_lit.system.new_folders import make_folder, remove_if_unused

OF_A_SWEEP = ("sweep.json", "multirun.yaml", ".lock")
"""Files that a sweep has before its first job starts."""


class OutputFolder(Callback):
    """Makes the folder before Hydra does, so that a refused command can remove it and its parents."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Makes `hydra.run.dir`."""
        _make(config, "run")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Makes `hydra.sweep.dir`."""
        _make(config, "sweep")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Removes a new `hydra.sweep.dir` if no job has started in it."""
        path = Path(str(config.hydra.sweep.dir))
        with suppress(OSError):
            if {file.name for file in path.iterdir()} <= {*OF_A_SWEEP}:
                remove_if_unused(path, OF_A_SWEEP)


def _make(config: DictConfig, mode: str) -> None:
    # Errors are left for Hydra, which makes the folder again and reports them.
    with suppress(OSError, OmegaConfBaseException):
        make_folder(Path(str(config.hydra[mode].dir)))

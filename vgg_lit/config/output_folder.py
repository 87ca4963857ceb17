"""The folder of a new run or study, made before Hydra makes it: `hydra.callbacks.output_folder` of the configs."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vgg_lit.system.new_folders import make_folder


class OutputFolder(Callback):
    """Makes `hydra.run.dir`, so that a refused command can remove the parents that it has made."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Makes the folder; errors are left for Hydra, which makes the folder again and reports them."""
        with suppress(OSError, OmegaConfBaseException):
            make_folder(Path(str(config.hydra.run.dir)))

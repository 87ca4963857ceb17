"""A run directory: what is in it, how it is written, found and read back.

config.yaml        every setting, resolved
overrides.txt      what was typed after the verb, one a line
environment.json   versions, git commit, hardware, command
status.json        running, done, pruned (a trial given up early), failed or preempted, and why
checkpoints/       best.ckpt (lowest validation loss), last.ckpt (newest), previous.ckpt (the one before)
found.json         learning rate and batch size, if the run was to find them
metrics.csv        one row an epoch
metrics.json       the final figures
tensorboard/       event files
figures/           pictures

run = Run("logs/runs/vgg13_bn_slim/2026-01-31_12-00-00_1f3a")
classifier = run.load_classifier()
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vgg_lit.checkpoints.folder import FOLDER, find_checkpoint, newest_checkpoint
from vgg_lit.errors import InputError
from vgg_lit.system.environment import describe_environment
from vgg_lit.system.files import read_json, remove_unfinished, write_json, write_text
from vgg_lit.system.locks import take_lock
from vgg_lit.system.status import Status, read_status, write_status
from vgg_lit.tables import read_csv

if TYPE_CHECKING:
    from vgg_lit.classifier import Classifier

FINDERS = {"optimizer.lr": "find_lr", "data.batch_size": "find_batch_size"}
"""Values that a run may find before it trains, and the settings that ask for it."""


class Run:
    """A run directory, read back or written.

    Args:
        path: the directory.

    Raises:
        InputError: there is no such directory, or it holds no run.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise InputError(f"run={path}: there is no such directory{_newest_runs_hint()}")
        if not self.config_file.is_file():
            raise InputError(f"run={path}: holds no config.yaml, so it is no run directory")

    @classmethod
    def start(
        cls, path: str | os.PathLike[str], config: Mapping[str, Any], overrides: Sequence[str]
    ) -> "Run":
        """Writes config, overrides, environment and status of a run that begins in `path`.

        Raises:
            InputError: the directory holds a run already; two never share one.
        """
        path = Path(path)
        path.mkdir(parents=True, exist_ok=True)
        if (path / "config.yaml").exists():
            raise InputError(f"{path}: holds a run already; go on with it by resume={path}")
        write_text(path / "overrides.txt", "".join(f"{override}\n" for override in overrides))
        write_json(path / "environment.json", describe_environment())
        write_text(path / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(dict(config))))
        run = cls(path)
        run.set_status("running")
        return run

    def go_on(self, config: Mapping[str, Any], overrides: Sequence[str]) -> None:
        """Records what was changed for a run that is resumed: the next resume starts from there."""
        remove_unfinished(self.checkpoints)
        file = self.path / "overrides.txt"
        before = file.read_text(encoding="utf-8") if file.is_file() else ""
        write_text(file, before + "".join(f"{override}\n" for override in overrides))
        write_text(self.config_file, OmegaConf.to_yaml(OmegaConf.create(dict(config))))
        self.set_status("running")

    @property
    def config_file(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def metrics_file(self) -> Path:
        """One row an epoch."""
        return self.path / "metrics.csv"

    def epochs(self) -> list[dict[str, str]]:
        """Returns the rows of `metrics.csv`, one an epoch; empty before the first epoch has ended."""
        return read_csv(self.metrics_file) if self.metrics_file.is_file() else []

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, git commit and hardware, as recorded when the run started; empty if not recorded.

        Raises:
            InputError: the file cannot be read.
        """
        return read_json(self.path / "environment.json")

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / FOLDER

    @property
    def config(self) -> dict[str, Any]:
        """The resolved config as plain values.

        Raises:
            InputError: the file is no YAML mapping.
        """
        try:
            config = OmegaConf.to_container(OmegaConf.load(self.config_file))
        except (OmegaConfBaseException, OSError, ValueError) as error:
            raise InputError(f"{self.config_file}: cannot be read: {error}") from error
        except Exception as error:  # yaml's own errors share no base with those above
            reason = " ".join(str(error).split())
            raise InputError(f"{self.config_file}: is no valid YAML: {reason}") from error
        if not isinstance(config, dict):
            raise InputError(f"{self.config_file}: is no mapping of settings")
        return {str(key): value for key, value in config.items()}

    @property
    def typed_config(self) -> dict[str, Any]:
        """The config before values were found, as `find_lr` and `find_batch_size` do.

        Raises:
            InputError: a file cannot be read.
        """
        config = OmegaConf.create(self.config)
        found = read_json(self.path / "found.json")
        for key, values in found.items():
            OmegaConf.update(config, key, values["typed"])
            OmegaConf.update(config, FINDERS[key], True)
        return {str(key): value for key, value in OmegaConf.to_container(config).items()}  # type: ignore[union-attr]

    @property
    def status(self) -> dict[str, Any]:
        """What `status.json` says; empty if there is none."""
        return read_status(self.path)

    @property
    def metrics(self) -> dict[str, Any]:
        """The final figures; empty before the run is done."""
        return read_json(self.path / "metrics.json")

    def set_status(self, status: Status, reason: str | None = None) -> None:
        """Records how the run stands."""
        write_status(self.path, status, reason)

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Records the final figures."""
        write_json(self.path / "metrics.json", metrics)

    def checkpoint(self, name: str = "best") -> Path:
        """The path of a checkpoint: `best`, `last`, or a file.

        Without a validation split there is no best one, and `best` is the last.

        Raises:
            InputError: there is no such checkpoint; names those there are.
        """
        return find_checkpoint(self.checkpoints, name)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Holds the lock that shows other processes that this one is training in the directory.

        Raises:
            InputError: another process is training in it.
        """
        file = self._take_lock(is_inherited=False)
        if file is None:
            raise InputError(f"resume={self.path}: another process is at work on that run")
        with file:
            yield

    def is_at_work(self) -> bool:
        """Returns True if another process is training in this directory."""
        file = self._take_lock()
        if file is None:
            return True
        file.close()
        return False

    def _take_lock(self, is_inherited: bool = True) -> TextIO | None:
        try:
            return take_lock(self.path / ".lock", is_inherited)
        except OSError as error:
            raise InputError(
                f"resume={self.path}: cannot be written to ({error.strerror})"
            ) from error

    def newest_checkpoint(self) -> tuple[Path, dict[Path, str]]:
        """The newest checkpoint that is whole, and what is wrong with each that is newer.

        Raises:
            InputError: the run has no whole checkpoint.
        """
        path, damages = newest_checkpoint(self.checkpoints)
        if path:
            return path, damages
        if damages:
            raise InputError(f"resume={self.path}: {'; '.join(damages.values())}")
        return self.checkpoint("last"), {}

    def set_aside(self) -> None:
        """Makes way for a new attempt, where this one left no checkpoint: renames the directory."""
        names = (f"{self.path.name}.attempt{number}" for number in count(1))
        self.path.rename(next(p for p in map(self.path.with_name, names) if not p.exists()))

    def load_classifier(self, checkpoint: str = "best") -> "Classifier":
        """The trained classifier, in evaluation mode on the CPU.

        Raises:
            InputError: no such checkpoint, or a damaged one.
        """
        from vgg_lit.classifier import Classifier

        return Classifier.load_from_checkpoint(self.checkpoint(checkpoint))


def _newest_runs_hint() -> str:
    runs = sorted(Path("logs/runs").glob("*/*/config.yaml"), key=lambda file: file.stat().st_mtime)
    return f"; the newest here is {runs[-1].parent}" if runs else ""

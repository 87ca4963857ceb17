"""A run directory: its files, and the class that writes, finds and reads them.

config.yaml        every setting, resolved
overrides.txt      overrides given on the command line, one per line
data.json          each image with its digest and its split, see `vgg_lit.data.data_record`
environment.json   versions, git commit, hardware, command
status.json        running, done, pruned (a trial stopped early), failed or preempted, and the reason
checkpoints/       best.ckpt (lowest validation loss), last.ckpt (newest), previous.ckpt (the one before)
found.json         learning rate and batch size, if `find_lr` or `find_batch_size` found them
metrics.csv        one row per epoch
metrics.json       final metrics
tensorboard/       event files
loggers.json       identity of the run at each service, such as W&B
figures/           pictures

run = Run("logs/runs/vgg13_bn_slim/2026-01-31_12-00-00_1f3a")
classifier = run.load_classifier()
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from vgg_lit.checkpoints.folder import FOLDER, find_checkpoint, newest_checkpoint
from vgg_lit.errors import InputError
from vgg_lit.run_configs import CONFIG_FILE, read_config, read_typed_config
from vgg_lit.run_selection import run_label, select_run
from vgg_lit.system.claims import claimed, is_claimed_elsewhere, rename_claimed
from vgg_lit.system.environment import describe_environment
from vgg_lit.system.files import remove_unfinished, write_json, write_text
from vgg_lit.system.log_folders import RESULTS
from vgg_lit.system.overrides import shell_words
from vgg_lit.system.recorded_overrides import RecordedOverrides, as_lines
from vgg_lit.system.small_files import read_json
from vgg_lit.system.status import Status, read_status, write_status
from vgg_lit.system.terminal import warn
from vgg_lit.tables import read_epochs

if TYPE_CHECKING:
    from vgg_lit.classifier import Classifier


class Run:
    """A run directory, read or written.

    Args:
        path: the directory; `latest` is the run below logs/ that was started last.

    Raises:
        InputError: there is no such directory, or it is not a run directory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = select_run(path)

    @classmethod
    def start(
        cls, path: str | os.PathLike[str], config: Mapping[str, Any], overrides: Sequence[str]
    ) -> "Run":
        """Writes the config, overrides, environment and status of a new run; removes left-over files.

        Raises:
            InputError: the directory already holds a run.
        """
        path = Path(path)
        check_vacant(path)
        remove_unfinished(path)
        try:
            write_text(path / "overrides.txt", as_lines(overrides))
            write_json(path / "environment.json", describe_environment())
            write_text(path / CONFIG_FILE, OmegaConf.to_yaml(OmegaConf.create(dict(config))))
            run = cls(path)
            run.set_status("running")
        except OSError:
            for name in (CONFIG_FILE, "overrides.txt", "environment.json"):
                (path / name).unlink(missing_ok=True)
            raise
        return run

    def resume(self, config: Mapping[str, Any], overrides: Sequence[str]) -> None:
        """Records the config and the overrides of a resumed run, for the next resume.

        A job that is repeated with the overrides that began it adds nothing to `overrides.txt`. Removes
        left-over files.
        """
        for folder in (self.path, self.checkpoints, *map(self.outputs.joinpath, RESULTS)):
            remove_unfinished(folder)
        self.overrides.add(overrides)
        write_text(self.config_file, OmegaConf.to_yaml(OmegaConf.create(dict(config))))
        self.set_status("running")

    def __fspath__(self) -> str:
        """Returns the path of the directory, so that a run can be given for it."""
        return str(self.path)

    @property
    def outputs(self) -> Path:
        """The folder for results that commands compute from the run."""
        return self.path

    @property
    def label(self) -> str:
        """The name of the run in titles and tables, see `run_label`."""
        return run_label(self.path)

    @property
    def selection(self) -> dict[str, Any]:
        """The settings with which a command uses this run: its path, and the packages it must trust."""
        trusted = self.config.get("trusted_targets")
        return {"run": str(self.path)} | ({"trusted_targets": trusted} if trusted else {})

    @property
    def overrides(self) -> RecordedOverrides:
        """The recorded overrides of the command lines that began and resumed the run.

        Raises:
            InputError: the file cannot be read.
        """
        return RecordedOverrides(self.path)

    @property
    def config_file(self) -> Path:
        """The file of the resolved config."""
        return self.path / CONFIG_FILE

    @property
    def data_file(self) -> Path:
        """The file that records the images and their splits."""
        return self.path / "data.json"

    @property
    def metrics_file(self) -> Path:
        """The file with one row of metrics per epoch."""
        return self.path / "metrics.csv"

    def epochs(self) -> list[dict[str, str]]:
        """Returns the rows of `metrics.csv`, one per epoch; empty before the end of the first epoch.

        Raises:
            InputError: the file cannot be read.
        """
        return read_epochs(self.metrics_file)

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, git commit and hardware at the start of the run; empty if not recorded.

        Raises:
            InputError: the file cannot be read.
        """
        environment: dict[str, Any] = read_json(self.path / "environment.json")
        return environment

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / FOLDER

    @property
    def config(self) -> dict[str, Any]:
        """The resolved config as plain values, with the current names of settings.

        Raises:
            InputError: the file is not a YAML mapping, or a section in it is not.
        """
        return read_config(self.path)

    @property
    def typed_config(self) -> dict[str, Any]:
        """The config before `find_lr` and `find_batch_size` replaced values in it.

        Raises:
            InputError: a file cannot be read.
        """
        return read_typed_config(self.path)

    @property
    def status(self) -> dict[str, Any]:
        """The content of `status.json`; empty if there is no such file."""
        return read_status(self.path)

    @property
    def metrics(self) -> dict[str, float]:
        """The final metrics; empty before the run is done.

        Raises:
            InputError: the file cannot be read.
        """
        metrics: dict[str, float] = read_json(self.path / "metrics.json", dict[str, int | float])
        return metrics

    def is_done(self) -> bool:
        """Returns True if the status is done and the final metrics are recorded, with or without a checkpoint.

        Warns of a damaged file; the run then counts as unfinished.
        """
        try:
            return self.status.get("status") == "done" and bool(self.metrics)
        except InputError as error:
            warn(f"{error}; the job is run again")
            return False

    def set_status(self, status: Status, reason: str | None = None) -> None:
        """Writes the status of the run, with a reason."""
        write_status(self.path, status, reason)

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Writes the final metrics."""
        write_json(self.path / "metrics.json", metrics)

    def checkpoint(self, name: str = "best") -> Path:
        """Returns the path of a checkpoint: `best`, `last`, or a file.

        Without a validation split, `best` is the last checkpoint.

        Raises:
            InputError: there is no such checkpoint; the message names the available ones.
        """
        return find_checkpoint(self.checkpoints, name)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Claims the directory while this process trains in it, as `claimed` does."""
        with claimed(self.path):
            yield

    def is_at_work(self) -> bool:
        """Returns True if another process is training in this directory.

        Raises:
            InputError: the directory cannot be written.
        """
        return is_claimed_elsewhere(self.path)

    def newest_checkpoint(self) -> tuple[Path, dict[Path, str]]:
        """Returns the newest intact checkpoint, and the damage of each newer one.

        Raises:
            InputError: the run has no intact checkpoint.
        """
        path, damages = newest_checkpoint(self.checkpoints)
        if path:
            return path, damages
        if damages:
            raise InputError(f"resume={self.path}: {'; '.join(damages.values())}")
        return self.checkpoint("last"), {}

    def has_checkpoint(self) -> bool:
        """Returns True if the run has written a checkpoint, intact or not."""
        return any(self.checkpoints.glob("*.ckpt"))

    def set_aside(self) -> None:
        """Renames the directory to `<name>.attempt<n>`, so that a retry starts fresh."""
        names = (f"{self.path.name}.attempt{number}" for number in count(1))
        free = next(p for p in map(self.path.with_name, names) if not p.exists())
        rename_claimed(self.path, free)

    def load_classifier(self, checkpoint: str = "best") -> "Classifier":
        """Returns the trained classifier, in evaluation mode on the CPU.

        Raises:
            InputError: there is no such checkpoint, or it is damaged.
        """
        from vgg_lit.classifier import Classifier

        return Classifier.load_from_checkpoint(self.checkpoint(checkpoint))


def check_vacant(path: Path) -> None:
    """Checks that a directory holds no run.

    Raises:
        InputError: it holds one.
    """
    if (path / CONFIG_FILE).exists():
        resume = shell_words({"resume": path})
        raise InputError(f"{path}: already holds a run; to resume it: {resume}")


def find_run(directory: Path) -> Run | None:
    """Returns the run in a directory; None if it holds none."""
    return Run(directory) if (directory / CONFIG_FILE).is_file() else None


def prepare_attempt(directory: Path) -> bool:
    """Returns True if a job is to resume the run in its directory: the run has a checkpoint.

    Renames the directory of a run without a checkpoint, so that the job starts fresh.
    """
    if (run := find_run(directory)) is None:
        return False
    if not run.has_checkpoint():
        run.set_aside()
        return False
    return True

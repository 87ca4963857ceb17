"""The directory of a study: Optuna's storage, and the run directories of the trials.

study.db or journal.log   Optuna's storage
study.yaml                space, objective, and settings that all trials share
trials/0 trials/1 ...     run directories; log.txt in each is the output of the trial
trials.csv, trials.md     the table
history.png, importance.png
experiment/best.yaml      the best trial's settings: train --config-dir <this directory> experiment=best
"""

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock

from vgg_lit.errors import InputError, one_line
from vgg_lit.system.extras import require
from vgg_lit.targets import instantiate

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

Storage = Literal["sqlite", "journal"]

STORAGE_FILES: dict[Storage, str] = {"sqlite": "study.db", "journal": "journal.log"}
"""A SQLite database, or a log for a folder that several machines mount, where SQLite's locks may fail."""

TRIAL = "VGG_LIT_TRIAL"
"""Environment variable of a trial's processes; the fields of `TrialOfThisProcess` as JSON."""

SAMPLERS, PRUNERS = ("optuna.samplers.",), ("optuna.pruners.",)
"""Prefixes of the targets that a config may name."""

SECONDS_TO_WAIT = 120.0
"""Timeout of the SQLite database while another process writes to it."""


def require_optuna() -> None:
    """Checks that Optuna is installed, and limits its log to warnings.

    Raises:
        InputError: Optuna is not installed.
    """
    require("tune", "optuna", asked="vgg-tune")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


class StudyDirectory:
    """A study in its directory.

    Args:
        path: the directory; it need not exist yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def config_file(self) -> Path:
        """The file of the search space, the objective and the shared settings."""
        return self.path / "study.yaml"

    @property
    def trials(self) -> Path:
        """The folder of run directories."""
        return self.path / "trials"

    def trial(self, number: int) -> Path:
        """Returns the run directory of a trial."""
        return self.trials / str(number)

    def trial_lock(self, number: int) -> Path:
        """Returns the lock file of a trial, locked while a driver or a trial of a killed driver runs it."""
        return self.path / ".locks" / str(number)

    def lock(self) -> AbstractContextManager[Any]:
        """Returns the lock under which drivers take trials; other drivers wait for it."""
        self.path.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path / ".lock")

    @property
    def url(self) -> str:
        """The URL or path of the storage, for `optuna-dashboard`."""
        file = self._file()
        return f"sqlite:///{file}" if file.name == STORAGE_FILES["sqlite"] else str(file)

    def create(self, storage: Storage, is_maximised: bool) -> None:
        """Creates the storage with an empty study, if there is none; the caller holds the lock.

        Raises:
            InputError: the directory has a storage of another kind, one that has lost its study, or one with
                another objective.
        """
        import optuna

        there = [kind for kind, name in STORAGE_FILES.items() if (self.path / name).is_file()]
        if there and there != [storage]:
            raise InputError(f"storage={storage}: the study in {self.path} has storage={there[0]}")
        file = self.path / STORAGE_FILES[storage]
        is_begun = self.config_file.exists() or self.trials.exists()
        lost = InputError(
            f"{file}: has no study, but {self.path} has files of one; restore the file, or choose another "
            "name"
        )
        if is_begun and (not file.is_file() or not file.stat().st_size):
            raise lost
        direction: Literal["maximize", "minimize"] = "maximize" if is_maximised else "minimize"
        with _readable(file):
            opened = self._storage(file)
            names = optuna.get_all_study_names(opened)
            if is_begun and not names:
                raise lost
            if names:
                study = optuna.load_study(study_name=names[0], storage=opened)
                study.get_trials(deepcopy=False)
                if [found.name for found in study.directions] != [direction.upper()]:
                    raise InputError(f"{file}: is not a study with one objective to {direction}")
            else:
                optuna.create_study(
                    storage=opened,
                    study_name=self.path.name,
                    direction=direction,
                )

    def open(self, pruner: Mapping[str, Any]) -> "Study":
        """Opens the study. Set another sampler to ask for trials: the default one draws at random.

        Args:
            pruner: `_target_` and arguments.

        Raises:
            InputError: the storage cannot be read.
        """
        import optuna

        file, built = self._file(), build_pruner(pruner)
        with _readable(file):
            storage = self._storage(file)
            name, *_ = optuna.get_all_study_names(
                storage
            )  # the directory may have been renamed since
            return optuna.load_study(
                study_name=name,
                storage=storage,
                sampler=optuna.samplers.RandomSampler(),
                pruner=built,
            )

    def _file(self) -> Path:
        files = [self.path / name for name in STORAGE_FILES.values()]
        return next((file for file in files if file.is_file()), files[0])

    @staticmethod
    def _storage(file: Path) -> "BaseStorage":
        from optuna.storages import JournalStorage, RDBStorage
        from optuna.storages.journal import JournalFileBackend

        if file.name == STORAGE_FILES["journal"]:
            return JournalStorage(JournalFileBackend(str(file)))
        return RDBStorage(
            f"sqlite:///{file}", engine_kwargs={"connect_args": {"timeout": SECONDS_TO_WAIT}}
        )


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Converts errors of a damaged storage, for which Optuna and SQLAlchemy raise many types."""
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception as error:
        raise InputError(f"{file}: cannot be read: {one_line(error)[:300]}") from error


def build_pruner(spec: Mapping[str, Any]) -> "BasePruner":
    """Builds the pruner of a `pruner` group.

    Raises:
        ConfigError: an argument is invalid.
    """
    return instantiate(spec, key="pruner", prefixes=PRUNERS)


def build_sampler(
    spec: Mapping[str, Any], number: int, grid: Mapping[str, Any] | None = None
) -> "BaseSampler":
    """Builds the sampler of a `sampler` group, for one trial.

    The draws depend on the seed and on the trial's number, so that drivers draw different values, and the
    same values as if a restarted driver had never stopped. All drivers use a grid in the same order.

    Args:
        spec: `_target_` and arguments.
        number: number of the trial.
        grid: all values by key, for a grid sampler.

    Raises:
        ConfigError: an argument is invalid.
    """
    if grid is not None:
        return instantiate(spec, key="sampler", prefixes=SAMPLERS, search_space=grid)
    if isinstance(spec.get("seed"), int):
        spec = {**spec, "seed": (spec["seed"] * 1_000_003 + number) % 2**32}
    return instantiate(spec, key="sampler", prefixes=SAMPLERS)


def epochs_of(trial: "FrozenTrial") -> int:
    """Returns the number of epochs that a trial has reported."""
    return max(trial.intermediate_values, default=0)


@dataclass(frozen=True)
class TrialOfThisProcess:
    """The trial that this process trains; its driver passes it in the environment.

    Args:
        directory: directory of the study.
        number: number of the trial.
        pruner: `_target_` and arguments.
    """

    directory: str
    number: int
    pruner: dict[str, Any]

    @classmethod
    def from_environment(cls) -> "TrialOfThisProcess | None":
        """Returns the trial of this process; None if the training is not a trial."""
        text = os.environ.get(TRIAL)
        return cls(**json.loads(text)) if text else None

    def environment(self) -> dict[str, str]:
        """Returns the environment variables that `from_environment` reads."""
        return {TRIAL: json.dumps(asdict(self))}

    @cached_property
    def _study(self) -> "Study":
        require_optuna()
        return StudyDirectory(self.directory).open(self.pruner)

    def report(self, epoch: int, value: float) -> bool:
        """Reports the objective after an epoch, counted from 1; returns True if the trial is to be pruned."""
        from optuna.trial import Trial

        frozen = self._study.get_trials(deepcopy=False)[self.number]
        trial = Trial(self._study, frozen._trial_id)
        if epoch not in frozen.intermediate_values:  # otherwise reported before an interruption
            trial.report(value, epoch)
        return trial.should_prune()

"""A study's directory: its trials in Optuna's storage, and a run directory each.

study.db or journal.log   Optuna's storage
study.yaml                what is searched: space, objective, settings that all trials share
trials/0 trials/1 ...     run directories; log.txt in each has what the trial printed
trials.csv, trials.md     the table
history.png, importance.png
experiment/best.yaml      the best trial's settings: train --config-dir <this directory> experiment=best
"""

import json
import os
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock

from vgg_lit.errors import InputError
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
"""A database, and a log for a folder that several machines mount, where SQLite's locks may not hold."""

TRIAL = "VGG_LIT_TRIAL"
"""Set in the environment of a trial's processes: which one it is, as `TrialOfThisProcess` reads it."""

SAMPLERS, PRUNERS = ("optuna.samplers.",), ("optuna.pruners.",)
"""What a config may name."""

SECONDS_TO_WAIT = 120.0
"""For a database that another process writes to."""


def require_optuna() -> None:
    """Checks that Optuna is there, and has it say no more than warnings.

    Raises:
        InputError: it is not.
    """
    require("tune", "optuna", asked="vgg-tune")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


class StudyDirectory:
    """A study and where it lies.

    Args:
        path: the directory; it need not be there yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def config_file(self) -> Path:
        """What is searched."""
        return self.path / "study.yaml"

    @property
    def trials(self) -> Path:
        """The folder of run directories."""
        return self.path / "trials"

    def trial(self, number: int) -> Path:
        """The run directory of a trial."""
        return self.trials / str(number)

    def trial_lock(self, number: int) -> Path:
        """The file that is locked while a driver, or what a killed one left behind, is at a trial."""
        return self.path / ".locks" / str(number)

    def lock(self) -> AbstractContextManager[Any]:
        """Keeps other drivers from taking a trial; they wait."""
        self.path.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path / ".lock")

    @property
    def url(self) -> str:
        """Of the storage, as `optuna-dashboard` takes it."""
        file = self._file()
        return f"sqlite:///{file}" if file.name == STORAGE_FILES["sqlite"] else str(file)

    def create(self, storage: Storage, is_maximised: bool) -> None:
        """Makes the storage with an empty study in it, if there is none; the caller holds the lock.

        Raises:
            InputError: there is one of another kind.
        """
        import optuna

        there = [kind for kind, name in STORAGE_FILES.items() if (self.path / name).is_file()]
        if there and there != [storage]:
            raise InputError(f"storage={storage}: the study in {self.path} has storage={there[0]}")
        optuna.create_study(
            storage=self._storage(self.path / STORAGE_FILES[storage]),
            study_name=self.path.name,
            direction="maximize" if is_maximised else "minimize",
            load_if_exists=True,
        )

    def open(self, pruner: Mapping[str, Any]) -> "Study":
        """The study. Its sampler draws nothing: to ask for trials, give it another.

        Args:
            pruner: `_target_` and arguments.
        """
        import optuna

        storage = self._storage(self._file())
        (name,) = optuna.get_all_study_names(storage)  # not the directory's, which may have moved
        return optuna.load_study(
            study_name=name,
            storage=storage,
            sampler=optuna.samplers.RandomSampler(),
            pruner=build_pruner(pruner),
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


def build_pruner(spec: Mapping[str, Any]) -> "BasePruner":
    """The pruner of a `pruner` group.

    Raises:
        ConfigError: an argument is wrong.
    """
    return instantiate(spec, key="pruner", prefixes=PRUNERS)


def build_sampler(
    spec: Mapping[str, Any], number: int, grid: Mapping[str, Any] | None = None
) -> "BaseSampler":
    """The sampler of a `sampler` group, for one trial.

    Its draws depend on its seed and the trial's number, so that no two drivers draw the same and one that
    is started again goes on as if it had never stopped. A grid is in one order for all of them.

    Args:
        spec: `_target_` and arguments.
        number: of the trial.
        grid: all values by key, for a sampler that takes them in turn.

    Raises:
        ConfigError: an argument is wrong.
    """
    if grid is not None:
        return instantiate(spec, key="sampler", prefixes=SAMPLERS, search_space=grid)
    if isinstance(spec.get("seed"), int):
        spec = {**spec, "seed": (spec["seed"] * 1_000_003 + number) % 2**32}
    return instantiate(spec, key="sampler", prefixes=SAMPLERS)


def epochs_of(trial: "FrozenTrial") -> int:
    """How many epochs a trial has reported."""
    return max(trial.intermediate_values, default=0)


@dataclass(frozen=True)
class TrialOfThisProcess:
    """The trial that a training is, as its driver has told it.

    Args:
        directory: of the study.
        number: of the trial.
        pruner: `_target_` and arguments.
    """

    directory: str
    number: int
    pruner: dict[str, Any]

    @classmethod
    def from_environment(cls) -> "TrialOfThisProcess | None":
        """None where the training is no trial."""
        text = os.environ.get(TRIAL)
        return cls(**json.loads(text)) if text else None

    def environment(self) -> dict[str, str]:
        """What `from_environment` reads."""
        return {TRIAL: json.dumps(asdict(self))}

    @cached_property
    def _study(self) -> "Study":
        require_optuna()
        return StudyDirectory(self.directory).open(self.pruner)

    def report(self, epoch: int, value: float) -> bool:
        """Reports the objective after an epoch, counted from 1; whether the trial is to be pruned."""
        from optuna.trial import Trial

        frozen = self._study.get_trials(deepcopy=False)[self.number]
        trial = Trial(self._study, frozen._trial_id)
        if epoch not in frozen.intermediate_values:  # else before an interruption
            trial.report(value, epoch)
        return trial.should_prune()

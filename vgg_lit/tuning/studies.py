"""The directory of a study: Optuna's storage, and the run directories of the trials.

study.db or journal.log   Optuna's storage
study.yaml                space, objective, and settings that all trials share
trials/0 trials/1 ...     run directories; log.txt in each is the output of the trial
study.html                the result, the figures and the table on one page
trials.csv, trials.md     the table
history.png, importance.png
experiment/best.yaml      the best trial's settings: train --config-dir <this directory> experiment=best
"""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vgg_lit.errors import InputError, one_line
from vgg_lit.run_selection import LATEST
from vgg_lit.runs import find_run
from vgg_lit.system.extras import require
from vgg_lit.system.locks import holding_lock
from vgg_lit.system.overrides import with_home
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

RESULTS = (
    *("trials.csv", "trials.md", "study.html"),
    *("history.png", "importance.png", "experiment/best.yaml"),
)
"""Files that a report writes."""

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

    def set_aside_other_run(self, number: int, params: Mapping[str, Any]) -> str | None:
        """Renames the directory of a trial if its run did not begin with the trial's values.

        Returns:
            The reason; None if the run has these values, or there is none.
        """
        if (run := find_run(self.trial(number))) is None:
            return None
        # A run records the path of the run that was `latest` when it began.
        values = with_home([f"{k}={value}" for k, value in params.items() if value != LATEST])
        try:
            begun_with = run.overrides.begun_with
            if params and set(values) <= set(begun_with):
                return None
            theirs = [line for line in begun_with if line.partition("=")[0] in params]
            reason = f"{run.path}: contains another run ({' '.join(theirs)})"
        except InputError as error:
            reason = str(error)
        run.set_aside()
        return reason

    def trial_lock(self, number: int) -> Path:
        """Returns the lock file of a trial, locked while a driver or a trial of a killed driver runs it."""
        return self.path / ".locks" / str(number)

    def lock(self) -> AbstractContextManager[Any]:
        """Returns the lock under which drivers take trials; other drivers wait for it."""
        return holding_lock(self.path / ".lock")

    @property
    def url(self) -> str:
        """The URL or path of the storage, for `optuna-dashboard`."""
        file = self.storage_file
        return f"sqlite:///{file}" if file.name == STORAGE_FILES["sqlite"] else str(file)

    def create(self, storage: Storage, is_maximised: bool) -> None:
        """Creates the storage with an empty study, if there is none; the caller holds the lock.

        Raises:
            InputError: the directory has a storage of another kind, one that has lost its study or trials,
                or one with another objective.
        """
        import optuna

        there = [kind for kind, name in STORAGE_FILES.items() if (self.path / name).is_file()]
        if len(there) > 1:
            both = " and ".join(STORAGE_FILES[kind] for kind in there)
            raise InputError(f"{self.path}: has {both}; remove the file that is not the study's")
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
                trials = study.get_trials(deepcopy=False)
                if [found.name for found in study.directions] != [direction.upper()]:
                    raise InputError(f"{file}: is not a study with one objective to {direction}")
                self._check_trials(file, trials)
            else:
                optuna.create_study(
                    storage=opened,
                    study_name=self.path.name,
                    direction=direction,
                )

    def _check_trials(self, file: Path, trials: Sequence["FrozenTrial"]) -> None:
        """Checks the trials of the storage against each other and against the run directories.

        Raises:
            InputError: the storage has lost trials, whose numbers would be given again, or a result.
        """
        folders = self.trials.iterdir() if self.trials.is_dir() else ()
        numbers = [int(path.name) for path in folders if path.name.isdecimal()]
        if (last := max(numbers, default=-1)) >= len(trials):
            raise InputError(
                f"{file}: has lost trials: it has {len(trials)}, but {self.trial(last)} is the run of "
                "another one; restore the file, or choose another name"
            )
        for trial in trials:
            if trial.state.name == "COMPLETE" and trial.value is None:
                raise InputError(f"{file}: cannot be read: trial {trial.number} has no value")

    def open(self, pruner: Mapping[str, Any]) -> "Study":
        """Opens the study. Set another sampler to ask for trials: the default one draws at random.

        Args:
            pruner: `_target_` and arguments.

        Raises:
            InputError: the storage cannot be read.
        """
        import optuna

        file, built = self.storage_file, build_pruner(pruner)
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

    @property
    def storage_file(self) -> Path:
        """The file of the storage; that of SQLite if there is none."""
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

"""Checks of a study before its first trial, and its creation."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from vgg_lit.config.checks import check_train
from vgg_lit.config.differences import changes
from vgg_lit.config.locations import is_same_place, place_of, with_absolute_places
from vgg_lit.config.schema import Tune
from vgg_lit.errors import InputError
from vgg_lit.renamed_settings import RENAMED, with_new_names
from vgg_lit.system.files import ABANDONED, check_names, remove_unfinished, write_text
from vgg_lit.system.small_files import read_yaml
from vgg_lit.system.terminal import warn
from vgg_lit.tables import is_higher_better
from vgg_lit.tuning.space import SearchSpace
from vgg_lit.tuning.studies import RESULTS, StudyDirectory, build_pruner, build_sampler
from vgg_lit.tuning.trial_configs import SEARCH_SETTINGS, TrialConfigs

if TYPE_CHECKING:
    from vgg_lit.data.data_record import DataRecord

OBJECTIVES = ("val/acc", "val/loss", "val/top5", "train/acc", "train/loss")
OF_THE_LOSS = "objective_loss"
"""Name of the training loss on the validation split, where it is not cross-entropy."""


def check_study(settings: Tune, space: SearchSpace, trials: TrialConfigs) -> None:
    """Checks everything that needs no training.

    Raises:
        InputError: a setting or the search space cannot be used; the message names the first one.
    """
    if settings.resume:
        raise InputError(
            f"resume={settings.resume}: resumes one run; to resume a study, run the same command again"
        )
    if settings.trainer["num_nodes"] != 1:
        raise InputError(
            f"trainer.num_nodes={settings.trainer['num_nodes']}: trials run on one machine; allowed: 1"
        )
    objective = settings.objective
    stage, _, name = objective.partition("/")
    is_extra = stage == "val" and name.partition("/")[0] in {*(settings.metrics or {}), OF_THE_LOSS}
    if objective not in OBJECTIVES and (
        objective.startswith("test/") or not (is_extra or settings.trusted_targets)
    ):
        raise InputError(f"objective={objective}: allowed: {', '.join(OBJECTIVES)}")
    data = settings.data
    if objective.startswith("val/") and data.get("val_fraction") == 0 and not data.get("folds"):
        raise InputError(
            f"objective={objective}: needs a validation split; data.val_fraction=0 leaves none"
        )
    fixed = trials.keys | {RENAMED.get(typed, typed) for typed in trials.keys}
    for key in space.entries:
        if key.lstrip("+") in fixed:
            raise InputError(f"{key}: has a fixed value and is searched; remove one of the two")
    if settings.find_lr and "optimizer.lr" in space.entries:
        raise InputError("find_lr=true: cannot be combined with a search for optimizer.lr")
    build_pruner(settings.pruner)
    grid = settings.sampler["_target_"].endswith(".GridSampler")
    build_sampler(settings.sampler, 0, space.grid() if grid else None)
    check_train(trials.plain(), trials.shared)
    space.check(
        lambda overrides: check_train(trials.plain(overrides), [*trials.shared, *overrides])
    )


def create_study(
    directory: StudyDirectory, settings: Tune, space: SearchSpace, trials: TrialConfigs
) -> None:
    """Creates the study, or checks that an existing one searches the same space.

    Raises:
        InputError: the existing study has other settings.
    """
    plain = with_absolute_places(trials.plain())
    shared = {key: value for key, value in plain.items() if key not in SEARCH_SETTINGS}
    entries = {RENAMED.get(key, key): value for key, value in space.entries.items()}
    wanted = {"objective": settings.objective, "space": entries, "settings": shared}
    with directory.lock():
        remove_unfinished(directory.path, ABANDONED)  # other drivers may be writing
        check_names(directory.path, RESULTS, ("trials", "experiment", ".locks"))
        if directory.config_file.exists():
            there = _recorded(directory.config_file)
            for difference in _differences(there, wanted):
                raise InputError(
                    f"{directory.path}: holds a study with other settings: {difference}; "
                    "choose another name"
                )
            if difference := _other_data(directory, there["settings"], shared):
                raise InputError(
                    f"{directory.path}: holds a study on other data: {difference}; choose another name"
                )
        directory.create(settings.storage, is_higher_better(settings.objective))
        _check_params(directory, settings, space)
        if not directory.config_file.exists():
            write_text(directory.config_file, OmegaConf.to_yaml(OmegaConf.create(wanted)))


def _check_params(directory: StudyDirectory, settings: Tune, space: SearchSpace) -> None:
    """Checks that the trials of an existing storage have settings of the space alone.

    Raises:
        InputError: a trial has another setting; a report would give it to the best trial.
    """
    keys = space.entries.keys() | {old for old, new in RENAMED.items() if new in space.entries}
    for trial in directory.open(settings.pruner).get_trials(deepcopy=False):
        if others := [name for name in trial.params if name not in keys]:
            raise InputError(
                f"{directory.storage_file}: cannot be read: trial {trial.number} has the setting "
                f"{others[0]!r}, which is not searched"
            )


def _recorded(file: Path) -> dict[str, Any]:
    """Returns the settings of an existing study, with the current names.

    Raises:
        InputError: the file cannot be read.
    """
    there = read_yaml(file)
    settings, entries = there.get("settings"), there.get("space")
    if "objective" not in there or not isinstance(settings, dict) or not isinstance(entries, dict):
        raise InputError(f"{file}: cannot be read: it has no objective, space or settings")
    if not isinstance(settings.get("data") or {}, dict):
        raise InputError(f"{file}: cannot be read: settings.data is not a mapping")
    return {
        "objective": there["objective"],
        "settings": with_new_names(settings),
        "space": {RENAMED.get(key, key): value for key, value in entries.items()},
    }


def _other_data(
    directory: StudyDirectory, there: Mapping[str, Any], wanted: Mapping[str, Any]
) -> str:
    """Returns the difference between the data of a study and those of a config; "" if there is none."""
    is_same = is_same_place(there.get("data") or {}, wanted["data"])
    record = _data_record(directory)
    if record is None:
        return "" if is_same else f"{place_of(there.get('data') or {})}"
    from vgg_lit.data.same_data import difference_from

    return difference_from(record, wanted["data"]) if record.images or not is_same else ""


def _data_record(directory: StudyDirectory) -> "DataRecord | None":
    """Returns the first record of a trial's data that can be read; None if there is none."""
    for file in sorted(directory.trials.glob("*/data.json")):
        from vgg_lit.data.data_record import read_data_record

        try:
            return read_data_record(file)
        except InputError as error:
            warn(f"{error}; the record of another trial is used")
    return None


def _differences(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    before, after = there["objective"], wanted["objective"]
    return [
        *([f"objective={after} (was {before})"] if before != after else []),
        *changes({"space": there["space"]}, {"space": wanted["space"]}),
        *changes(there["settings"], wanted["settings"], ignoring=_later_settings(there)),
    ]


def _later_settings(there: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns settings that the study of an earlier version does not have."""
    return () if "splitting" in (there["settings"].get("data") or {}) else ("data.splitting",)

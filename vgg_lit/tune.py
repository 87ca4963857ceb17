"""Searches for hyperparameters: each trial is a training in a process of its own.

python -m vgg_lit.tune                                          # rate, weight decay, label smoothing
python -m vgg_lit.tune 'optimizer.lr=tag(log, interval(1e-3, 1))' model=vgg11_bn,vgg13_bn n_trials=40
python -m vgg_lit.tune name=first space=network pruner=hyperband n_jobs=2
python -m vgg_lit.tune name=first space=network pruner=hyperband n_jobs=2     # goes on with it

The same command goes on with the study of that name after an interruption, and works on it beside another
driver, on this machine or on one that shares the folder.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vgg_lit.command import (
    config_flags,
    explain_refusal,
    inherited_overrides,
    run_verb,
    trusting,
)
from vgg_lit.config import check, check_train, to_plain
from vgg_lit.errors import EXIT_BAD_INPUT, InputError, TrainingError
from vgg_lit.files import write_text
from vgg_lit.schema import Train, Tune
from vgg_lit.tables import is_higher_better, print_facts
from vgg_lit.training.resuming import changes
from vgg_lit.tuning.space import SearchSpace, split_sweeps
from vgg_lit.tuning.studies import StudyDirectory, build_pruner, build_sampler, require_optuna

OBJECTIVES = ("val/acc", "val/loss", "val/top5", "train/acc", "train/loss")

UNLESS_TYPED = ("test=false",)
"""The test images choose nothing, so trials do not look at them."""

OF_THE_SEARCH = {"name", *(Tune.model_fields.keys() - Train.model_fields.keys())}
"""Settings that are no trial's."""


def tune(config: DictConfig, typed_space: Mapping[str, str]) -> None:
    """Runs the study's trials and reports on them.

    Args:
        config: as composed.
        typed_space: settings that were typed as ranges.

    Raises:
        InputError: the space or another setting cannot be used; nothing is left behind.
        TrainingError: no trial came to its end.
    """
    hydra = HydraConfig.get()
    path = Path(os.path.relpath(hydra.runtime.output_dir))
    try:
        require_optuna()
        trials = TrialConfigs(hydra, GlobalHydra.instance().config_loader())
        settings = check(to_plain(config), Tune)
        space = SearchSpace({**settings.space, **typed_space}, trials.config_loader)
        _check(settings, space, trials)
        directory = StudyDirectory(path)
        _create(directory, settings, space, trials)
    except InputError:
        with suppress(OSError):  # Hydra made the folder; it stays if a study is in it
            path.rmdir()
        raise
    from vgg_lit.tuning.search import Search
    from vgg_lit.tuning.study_report import report

    name = "" if settings.name else f" with name={path.parent.name}/{path.name}"
    print_facts(
        {
            "study": f"{path}: {settings.n_trials} trials over {', '.join(space.entries)}",
            "go on": f"by the same command{name}",
        }
    )
    search = Search(directory, space, settings, trials.command)
    search.run()
    report(directory, settings, trials.shared, trials.groups, config_flags(hydra))
    if not search.has_result():
        raise TrainingError(f"{path}: no trial came to its end; {search.last_reason()}")


class TrialConfigs:
    """What trials are told.

    Args:
        hydra: what Hydra knows of this command.
        config_loader: that composed it.

    Attributes:
        shared: overrides that all trials are given.
    """

    def __init__(self, hydra: Any, config_loader: ConfigLoader) -> None:
        self.config_loader = config_loader
        self._flags = config_flags(hydra)
        self._of_hydra = inherited_overrides(hydra)
        parsed = OverridesParser.create().parse_overrides(list(hydra.overrides.task))
        self.shared = [
            str(override.input_line)
            for override in parsed
            if override.key_or_group.partition(".")[0] not in OF_THE_SEARCH
        ]
        self.keys = {override.key_or_group for override in parsed}

    @property
    def groups(self) -> set[str]:
        """Names of the groups that a training is made of."""
        return set(self._compose([]).hydra.runtime.choices)

    def plain(self, overrides: Sequence[str] = ()) -> dict[str, Any]:
        """The config of a trial with these overrides.

        Raises:
            ConfigError: there is no such setting, or no such option of a group.
        """
        return to_plain(self._compose(overrides), without="hydra")

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        typed = [*self._of_hydra, *UNLESS_TYPED, *self.shared, *overrides]
        try:
            return self.config_loader.load_configuration("train", typed, RunMode.RUN)
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(explain_refusal(error, "train", typed)) from error

    def command(self, directory: Path, overrides: Sequence[str] | None) -> list[str]:
        """Starts a trial in a directory; without overrides, goes on with the one that is there."""
        place = QuotedString(str(directory), Quote.single).with_quotes()
        command = [sys.executable, "-m", "vgg_lit.train", *self._flags]
        if overrides is None:
            return [*command, f"resume={place}", *trusting(self.plain())]
        typed = [*UNLESS_TYPED, *self.shared, *overrides, *self._of_hydra]
        return [*command, *typed, f"hydra.run.dir={place}"]


def _check(settings: Tune, space: SearchSpace, trials: TrialConfigs) -> None:
    """Every check that needs no training.

    Raises:
        InputError: the first thing that is wrong.
    """
    if settings.resume:
        raise InputError(
            f"resume={settings.resume}: goes on with one run; a study goes on by its own command"
        )
    if settings.trainer["num_nodes"] != 1:
        raise InputError(
            f"trainer.num_nodes={settings.trainer['num_nodes']}: trials run on one machine; allowed: 1"
        )
    objective = settings.objective
    if objective not in OBJECTIVES and (
        objective.startswith("test/") or not settings.trusted_targets
    ):
        raise InputError(f"objective={objective}: allowed: {', '.join(OBJECTIVES)}")
    if objective.startswith("val/") and settings.data.get("val_fraction") == 0:
        raise InputError(f"objective={objective}: nothing is validated with data.val_fraction=0")
    for key in space.entries:
        if key.lstrip("+") in trials.keys:
            raise InputError(
                f"{key}: is given one value and searched too; leave out one of the two"
            )
    if settings.find_lr and "optimizer.lr" in space.entries:
        raise InputError("find_lr=true: would replace the optimizer.lr that is searched")
    build_pruner(settings.pruner)
    grid = settings.sampler["_target_"].endswith(".GridSampler")
    build_sampler(settings.sampler, 0, space.grid() if grid else None)
    check_train(trials.plain())
    space.check(lambda overrides: check_train(trials.plain(overrides)))


def _create(
    directory: StudyDirectory, settings: Tune, space: SearchSpace, trials: TrialConfigs
) -> None:
    """Makes the study, or sees that the one that is there searches the same.

    Raises:
        InputError: it searches something else.
    """
    shared = {key: value for key, value in trials.plain().items() if key not in OF_THE_SEARCH}
    wanted = {"objective": settings.objective, "space": space.entries, "settings": shared}
    with directory.lock():
        if directory.config_file.is_file():
            there: Any = OmegaConf.to_container(OmegaConf.load(directory.config_file))
            for difference in _differences(there, wanted):
                raise InputError(
                    f"{directory.path}: holds a study with other settings: {difference}; "
                    "take another name"
                )
        directory.create(settings.storage, is_higher_better(settings.objective))
        if not directory.config_file.is_file():
            write_text(directory.config_file, OmegaConf.to_yaml(OmegaConf.create(wanted)))


def _differences(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    before, after = there["objective"], wanted["objective"]
    return [
        *([f"objective={after} (was {before})"] if before != after else []),
        *changes({"space": there["space"]}, {"space": wanted["space"]}),
        *changes(there["settings"], wanted["settings"]),
    ]


def split_arguments(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The settings that were typed as ranges, and the command line without them.

    Who types ranges and chooses no space means these alone.
    """
    parsed = get_args_parser().parse_args(list(arguments))
    sweeps, values = split_sweeps(parsed.overrides)
    others = [word for word in arguments if word not in parsed.overrides or word in values]
    if sweeps and not any(value.startswith("space=") for value in values):
        # where a range stood: flags stay on their side
        others.insert(min(map(list(arguments).index, set(arguments) - set(others))), "space=none")
    return sweeps, others


def main() -> None:
    """The console script `vgg-tune`."""
    if {"-m", "--multirun"}.intersection(sys.argv[1:]):
        print(
            "error: -m: a search starts its trials itself; type ranges without it", file=sys.stderr
        )
        sys.exit(EXIT_BAD_INPUT)
    typed_space, sys.argv[1:] = split_arguments(sys.argv[1:])
    run_verb(partial(tune, typed_space=typed_space), "tune")


if __name__ == "__main__":
    main()

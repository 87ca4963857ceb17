"""Searches for hyperparameters; each trial is a separate process.

python -m vgg_lit.tune                                  # learning rate, weight decay, label smoothing
python -m vgg_lit.tune 'optimizer.lr=tag(log, interval(1e-3, 1))' model=vgg11_bn,vgg13_bn n_trials=40
python -m vgg_lit.tune name=first space=network pruner=hyperband n_jobs=2
python -m vgg_lit.tune name=first space=network pruner=hyperband n_jobs=2     # resumes the study

The same command resumes the study of that name, or shares its trials with another driver on this machine
or on one that mounts the folder.
"""

import sys
from collections.abc import Mapping
from functools import partial

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vgg_lit.config.checks import check_section, to_plain
from vgg_lit.config.command import config_flags, run_verb
from vgg_lit.config.schema import Tune
from vgg_lit.errors import EXIT_BAD_INPUT, InputError, TrainingError
from vgg_lit.system.new_folders import remove_if_unused
from vgg_lit.system.operating_system import relative
from vgg_lit.tables import is_higher_better, print_facts
from vgg_lit.tuning.creation import check_study, create_study
from vgg_lit.tuning.space import SearchSpace, split_arguments
from vgg_lit.tuning.studies import StudyDirectory, require_optuna
from vgg_lit.tuning.trial_configs import TrialConfigs


def tune(config: DictConfig, typed_space: Mapping[str, str]) -> None:
    """Runs the study's trials and reports on them.

    Args:
        config: composed config.
        typed_space: ranges given on the command line, by key.

    Raises:
        InputError: the space or another setting cannot be used; no files are left behind.
        TrainingError: no trial was completed.
    """
    hydra = HydraConfig.get()
    path = relative(hydra.runtime.output_dir)
    try:
        require_optuna()
        trials = TrialConfigs(hydra, GlobalHydra.instance().config_loader())
        settings = check_section(to_plain(config), Tune)
        space = SearchSpace({**settings.space, **typed_space}, trials.config_loader)
        check_study(settings, space, trials)
        directory = StudyDirectory(path)
        create_study(directory, settings, space, trials)
    except InputError:
        remove_if_unused(path)
        raise
    from vgg_lit.tuning.search import Search
    from vgg_lit.tuning.study_report import report

    direction = "highest" if is_higher_better(settings.objective) else "lowest"
    name = "" if settings.name else f" with name={path.parent.name}/{path.name}"
    print_facts(
        {
            "study": f"{path}: {settings.n_trials} trials over {', '.join(space.entries)}",
            "objective": f"{settings.objective}, the {direction} value is the best",
            "resume": f"run the same command again{name}",
        }
    )
    search = Search(directory, space, settings, trials.command)
    search.run()
    report(directory, settings, trials.shared, trials.groups, config_flags(hydra))
    if not search.has_result():
        raise TrainingError(f"{path}: no trial was completed; {search.last_reason()}")


def main() -> None:
    """Runs the console script `vgg-tune`."""
    if {"-m", "--multirun"}.intersection(sys.argv[1:]):
        print(
            "error: -m: a search starts its trials itself; give ranges without -m", file=sys.stderr
        )
        sys.exit(EXIT_BAD_INPUT)
    typed_space: dict[str, str] = {}

    def prepare(arguments: list[str]) -> list[str]:
        ranges, others = split_arguments(arguments)
        typed_space.update(ranges)
        return others

    run_verb(partial(tune, typed_space=typed_space), "tune", prepare, needs_output=False)


if __name__ == "__main__":
    main()

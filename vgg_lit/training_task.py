"""The train command: checks the config, then starts or resumes a run in its directory."""

from contextlib import nullcontext
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from vgg_lit.config.checks import check_train
from vgg_lit.config.locations import new_config
from vgg_lit.config.near_matches import nearest_value
from vgg_lit.errors import InputError
from vgg_lit.renamed_settings import notices
from vgg_lit.run_selection import LATEST
from vgg_lit.runs import Run, check_vacant
from vgg_lit.system import launch
from vgg_lit.system.claims import claimed, release
from vgg_lit.system.files import LONGEST_NAME, check_length
from vgg_lit.system.new_folders import remove_if_unused
from vgg_lit.system.operating_system import relative
from vgg_lit.system.terminal import warn
from vgg_lit.training.resuming import begun_job, resumed_config, warn_of_changes
from vgg_lit.tuning.trial_of_this_process import TrialOfThisProcess


def train(config: DictConfig) -> float | None:
    """Trains as configured; returns the objective, which a sweep maximises.

    Raises:
        InputError: the config, the data or a checkpoint cannot be used; no files are left behind.
    """
    path = relative(HydraConfig.get().runtime.output_dir)
    is_first = launch.rank() == 0
    try:
        check_length(path / "checkpoints" / ("x" * LONGEST_NAME), "hydra.run.dir")
        with claimed(path) if is_first else nullcontext():
            return _train(config, path, is_first)
    except (InputError, OSError):
        remove_if_unused(path)
        raise
    finally:
        if is_first:
            release(path)  # also if `resume=auto` has claimed it


def _train(config: DictConfig, path: Path, is_first: bool) -> float | None:
    """Trains in a claimed directory; `is_first` is True on rank 0, which writes the files."""
    hydra = HydraConfig.get()
    overrides = list(hydra.overrides.task)
    if config.resume and hydra.mode != RunMode.MULTIRUN:
        _check_place(Path(config.resume), path)
    if config.resume and not (path / "config.yaml").is_file():
        near = nearest_value("resume", str(config.resume), [LATEST, "auto"])
        hint = f"; did you mean {near}?" if near else ""
        raise InputError(f"resume={config.resume}: there is no run in that directory{hint}")
    resumed = Run(config.resume) if config.resume else None
    plain = resumed_config(resumed, config, overrides) if resumed else new_config(config)
    if hydra.mode == RunMode.MULTIRUN and (begun := begun_job(path, overrides)):
        resumed, plain = begun, begun.config
        if begun.is_done():
            return begun.metrics.get(config.objective)
    if is_first and not resumed:
        check_vacant(path)
    # The config of a run does not name the run itself.
    checked = plain | {"resume": str(resumed.path)} if resumed else plain
    trainer = check_train(checked, overrides).trainer
    for notice in notices(overrides) if is_first else ():
        warn(notice)
    launch.check_launch(trainer.get("num_nodes", 1), trainer.get("devices", "auto"))
    if resumed and is_first:
        warn_of_changes(resumed, plain)
    if hydra.mode == RunMode.MULTIRUN and plain["trainer"]["devices"] != 1:
        # Lightning starts the other ranks with this command line: each would run the whole sweep.
        raise InputError(
            f"trainer.devices={plain['trainer']['devices']}: allowed only with "
            "hydra/launcher=process, the default; with another launcher, jobs use 1 device"
        )
    # Lightning takes seconds to import, so it is imported after all checks that do not need it.
    from vgg_lit.training.experiment import run_experiment
    from vgg_lit.training.leftovers import check_free, set_found_aside

    if is_first:
        check_free(path, plain.get("metrics") or ())
        if not resumed:
            set_found_aside(path)
    if plain["find_lr"] or plain["find_batch_size"]:
        from vgg_lit.training.finders import find

        plain = find(plain, path)
    trial = TrialOfThisProcess.from_environment()
    report = trial.report if trial else None
    metrics = run_experiment(plain, path, overrides, resumed, report)
    is_validated = any(name.startswith("val/") for name in metrics)
    is_typed = any(override.startswith("objective=") for override in overrides)
    # A recipe without validation has no use for the default objective, val/acc.
    if plain["objective"] not in metrics and (is_validated or is_typed):
        available = ", ".join(metrics)
        warn(f"objective={plain['objective']}: is not a metric of this run; available: {available}")
    return metrics.get(plain["objective"])


def _check_place(resumed: Path, path: Path) -> None:
    """Raises InputError if a command resumes a run and names another directory."""
    if (resumed / "config.yaml").is_file() and resumed.resolve() != path.resolve():
        raise InputError(
            f"hydra.run.dir={path}: cannot be given with resume, which trains in {resumed}; remove it"
        )

"""Training and comparison from Python, in this process; the same as the commands.

import vgg_lit
run = vgg_lit.train("model=vgg16_bn", "data=cifar10", seed=1)
vgg_lit.compare("logs/runs", by="model")
"""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig, open_dict

from vgg_lit.config.checks import check_section, to_plain
from vgg_lit.config.composing import (
    compose,
    compose_with_hydra,
    errors_in_one_line,
    own_settings,
    typed_overrides,
)
from vgg_lit.config.schema import Compare
from vgg_lit.errors import ConfigError, InputError, Preempted
from vgg_lit.interactive_run import InteractiveRun
from vgg_lit.reports.comparison_report import ComparisonReport, report_on
from vgg_lit.run_configs import CONFIG_FILE
from vgg_lit.run_selection import LATEST, newest_runs
from vgg_lit.runs import Run
from vgg_lit.sweeps import Job, Sweep
from vgg_lit.system.ending_signals import ending_signals
from vgg_lit.system.files import expanded, shown_path
from vgg_lit.system.first_line import announce_torch
from vgg_lit.system.new_folders import make_folder
from vgg_lit.system.overrides import key_of
from vgg_lit.training.starting import prepare
from vgg_lit.training_task import train


def train_run(*overrides: str, **settings: Any) -> InteractiveRun:
    """Trains in this process, as `vgg-train` does, and returns the run. It is `vgg_lit.train`.

    In a notebook, the learning curves are shown during the training. An interrupted cell saves the
    training, and `vgg_lit.train(resume=...)` continues it.

    Args:
        overrides: arguments of the command, e.g. `"model=vgg16_bn"`, `"data=cifar10"`.
        settings: settings by name, e.g. `seed=1`; those in a section as `**{"optimizer.lr": 0.05}`.

    Raises:
        InputError: the config, the data or a checkpoint cannot be used; no files are left behind.
        TrainingError: the training failed.
        KeyboardInterrupt: a signal ended the training; the message tells what is saved.
    """
    announce_torch("train")
    arguments = prepare(typed_overrides(overrides, settings))
    with errors_in_one_line():
        config = _for_one_process(arguments)
        path = Path(config.hydra.run.dir)
        try:
            make_folder(path)
        except OSError as error:
            raise ConfigError(f"hydra.run.dir={path}: cannot be made: {error.strerror}") from error
    with open_dict(config):
        config.hydra.runtime.output_dir = str(path.absolute())
    outer = HydraConfig.instance().cfg  # of a program that uses Hydra itself
    HydraConfig.instance().set_config(config)
    try:
        with errors_in_one_line(), ending_signals, _own_random_numbers():
            train(own_settings(config))
    except Preempted as stop:
        raise KeyboardInterrupt(str(stop)) from None
    finally:
        HydraConfig.instance().cfg = outer
    return InteractiveRun(path)


def compare_runs(*runs: Any, **settings: Any) -> ComparisonReport:
    """Compares runs as `vgg-compare` does, and returns the tables and curves. It is `vgg_lit.compare`.

    A notebook shows the result as tables. `print()` prints them, and `write(folder)` writes all files of
    the command.

    Args:
        runs: sweeps, folders of runs, runs, globs, or `latest`; also lists of these.
        settings: `by`, `sort`, `columns`, `curves` and `trusted_targets` of the command.

    Raises:
        InputError: there are fewer than two runs, or no such column or metric, or a setting has no effect.
    """
    if "output" in settings:
        raise InputError("output: is not a setting of this function; use .write(folder)")
    if runs and "runs" in settings:
        raise InputError("runs: is given twice, with and without its name; give it once")
    config = compose(command="compare", **{"runs": list(_places(runs)), **settings})
    with errors_in_one_line():
        return report_on(check_section(to_plain(config), Compare))


class InteractiveSweep(Sweep):
    """A sweep directory whose runs have the commands that use them. It is `vgg_lit.Sweep`.

    Args:
        path: the directory; `latest` is the sweep of the run below logs/ that was started last.

    Raises:
        InputError: there is no such sweep, or its record cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        found = expanded(path)
        if str(path) == LATEST and not found.exists():
            found = newest_runs()
        if not (found / "sweep.json").is_file():
            raise InputError(f"{shown_path(found)}: is not a sweep; it has no sweep.json")
        super().__init__(found)

    def __repr__(self) -> str:
        return f"Sweep({str(self.path)!r})"

    def run(self, job: Job) -> InteractiveRun | None:
        """Returns the run of a job; None before the job has started."""
        run = super().run(job)
        return InteractiveRun(run.path) if run else None


def _for_one_process(arguments: list[str]) -> DictConfig:
    """Returns the config of a training, with Hydra's settings; a number of devices to be found is one.

    Raises:
        InputError: an override cannot be applied, or the training, or the run that it resumes, has several
            processes, each of which would run the calling program again.
    """
    config = compose_with_hydra("train", arguments)
    trainer = {name: config.trainer.get(name, 1) for name in ("devices", "num_nodes")}
    is_resumed = bool(config.resume) and (Path(config.resume) / CONFIG_FILE).is_file()
    if is_resumed:
        recorded, typed = Run(config.resume).config["trainer"], set(map(key_of, arguments))
        for name in trainer:
            if f"trainer.{name}" not in typed:
                trainer[name] = recorded.get(name, 1)
    devices, nodes = trainer.values()
    is_one = devices in (1, "auto") or (
        isinstance(devices, ListConfig | list) and len(devices) == 1
    )
    if nodes != 1 or not is_one:
        wrong = f"num_nodes={nodes}" if nodes != 1 else f"devices={devices}"
        raise ConfigError(
            f"trainer.{wrong}: in Python, a training has one process; start several with the command "
            "vgg-train"
        )
    if devices == "auto":
        if is_resumed:
            return compose_with_hydra("train", [*arguments, "++trainer.devices=1"])
        with open_dict(config):
            config.trainer.devices = 1
    return config


@contextmanager
def _own_random_numbers() -> Iterator[None]:
    """Keeps the random numbers of the calling program apart from those of a training, which seeds torch."""
    if "torch" not in sys.modules:
        try:
            yield
        finally:
            if loaded := sys.modules.get("torch"):
                loaded.seed()  # a random seed, as after its import
        return
    import torch

    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        yield


def _places(runs: Iterable[Any]) -> Iterator[str]:
    """Yields the paths of runs and sweeps, also of those in lists.

    Raises:
        InputError: one is neither a path, nor a run or a sweep, nor a list of these.
    """
    for run in runs:
        if isinstance(run, str | os.PathLike):
            yield os.fspath(run)
        elif isinstance(path := getattr(run, "path", None), Path):
            yield str(path)
        elif isinstance(run, Iterable):
            yield from _places(run)
        else:
            raise InputError(
                f"{run!r}: is not a run; allowed: paths, runs, sweeps, and lists of these"
            )

"""Training and comparison from Python, in this process; the same as the commands.

import vgg_lit
run = vgg_lit.train("model=vgg16_bn", "data=cifar10", seed=1)
vgg_lit.compare("logs/runs", by="model")
"""

import os
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict

from vgg_lit.config.checks import check_section, to_plain
from vgg_lit.config.composing import (
    compose,
    compose_with_hydra,
    errors_in_one_line,
    own_settings,
    typed_overrides,
)
from vgg_lit.config.schema import Compare
from vgg_lit.errors import ConfigError, Preempted
from vgg_lit.interactive_run import InteractiveRun
from vgg_lit.reports.comparison_report import ComparisonReport, report_on
from vgg_lit.runs import Run
from vgg_lit.system.ending_signals import ending_signals
from vgg_lit.system.first_line import announce_torch
from vgg_lit.system.new_folders import make_folder
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
    config = compose_with_hydra("train", prepare(typed_overrides(overrides, settings)))
    devices, nodes = (config.trainer.get(name, 1) for name in ("devices", "num_nodes"))
    if devices not in (1, "auto", [0]) or nodes != 1:
        raise ConfigError(
            f"trainer.devices={devices}: in Python, a training has one process; start several with "
            "the command vgg-train"
        )
    path = Path(config.hydra.run.dir)
    make_folder(path)
    with open_dict(config):
        config.trainer.devices = 1 if devices == "auto" else devices
        config.hydra.runtime.output_dir = str(path.absolute())
    outer = HydraConfig.instance().cfg  # of a program that uses Hydra itself
    HydraConfig.instance().set_config(config)
    try:
        with errors_in_one_line(), ending_signals:
            train(own_settings(config))
    except Preempted as stop:
        raise KeyboardInterrupt(str(stop)) from None
    finally:
        HydraConfig.instance().cfg = outer
    return InteractiveRun(path)


def compare_runs(*runs: str | os.PathLike[str] | Run, **settings: Any) -> ComparisonReport:
    """Compares runs as `vgg-compare` does, and returns the tables and curves. It is `vgg_lit.compare`.

    A notebook shows the result as tables. `print()` prints them, and `write(folder)` writes all files of
    the command.

    Args:
        runs: sweeps, folders of runs, runs, globs, or `latest`.
        settings: `by`, `sort`, `columns`, `curves` and `trusted_targets` of the command.

    Raises:
        InputError: there are fewer than two runs, or no such column or metric.
    """
    places = [os.fspath(run.path if isinstance(run, Run) else run) for run in runs]
    config = compose(command="compare", **{"runs": places, **settings})
    return report_on(check_section(to_plain(config), Compare))

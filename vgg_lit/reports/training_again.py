"""A second training from the config of a finished run, in a separate process."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vgg_lit.config.checks import check_section
from vgg_lit.config.differences import WITHOUT_EFFECT
from vgg_lit.config.schema import Reproduce, Train
from vgg_lit.errors import InputError, TrainingError
from vgg_lit.runs import Run
from vgg_lit.system.overrides import as_overrides

REPRODUCTION = "reproduction.json"
"""The file in the repeated run with its differences from the original."""

MOST_THREADS = 1024
"""Limit on the threads of a training that is repeated."""


def checked_config(run: Run) -> dict[str, Any]:
    """Returns the config of a run; checks its keys, and that all values are plain.

    Raises:
        InputError: the config has unknown keys, invalid values or references.
    """
    config = run.config
    try:
        check_section(config, Train)
    except InputError as error:
        raise InputError(f"{run.config_file}: {error}") from error
    if "${" in json.dumps(config):
        raise InputError(
            f"{run.config_file}: contains ${{...}}; a run's config holds plain values only"
        )
    return config


def check_same_data(run: Run, config: Mapping[str, Any]) -> None:
    """Checks that the data of a run are still the images that it was trained on.

    Raises:
        InputError: they have changed; the message names the changes.
    """
    from vgg_lit.data.data_record import read_data_record  # imports torch
    from vgg_lit.data.same_data import difference_from

    if record := read_data_record(run.data_file):
        difference = difference_from(record, config["data"])
        if difference:
            raise InputError(
                f"run={run.path}: cannot be reproduced: the data set has changed since: {difference}"
            )


def changes_of_resumes(run: Run) -> list[str]:
    """Returns the overrides with which a run was resumed, without those that do not affect its weights."""
    return [
        override
        for override in run.overrides.resumed_with
        if not override.lstrip("+~").startswith(WITHOUT_EFFECT)
    ]


def train_again(original: Run, folder: Path, output: Path, settings: Reproduce) -> None:
    """Runs the train command on the config in `folder`, with as many threads as the run had.

    Raises:
        InputError: the command rejected the config and has printed the reason.
        TrainingError: the training failed; the command has printed the reason.
    """
    overrides = {
        **(settings.changes or {}),
        "hydra.run.dir": str(output),
        "hydra/job_logging": "stdout",
        "hydra.output_subdir": None,
        "hydra.job.chdir": False,
        "resume": None,
        "trusted_targets": settings.trusted_targets,
    }
    command = [sys.executable, "-m", "vgg_lit.train"]
    command += ["--config-path", str(folder), "--config-name", "config"]
    command += as_overrides(overrides)
    threads = {"OMP_NUM_THREADS": str(found)} if (found := _threads(original)) else {}
    code = subprocess.run(command, env={**threads, **os.environ}, check=False).returncode
    if code == 2:
        raise InputError(
            f"run={original.path}: its config cannot be used here; see the message above"
        )
    if code:
        raise TrainingError(f"{output}: training ended with exit code {code}")


def _threads(run: Run) -> int | None:
    """Returns the recorded number of threads; None for one that no computer has, as in a damaged file."""
    threads = run.environment.get("cpu_threads")
    return threads if type(threads) is int and 1 <= threads <= MOST_THREADS else None

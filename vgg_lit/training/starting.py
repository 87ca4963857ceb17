"""Selects the run directory before Hydra reads the command line of a training.

With torchrun or srun, rank 0 selects the directory and sends it to the other ranks, because the name of a
new directory depends on the clock and a random number.
"""

import os
import re
import time
from pathlib import Path
from typing import Any

from vgg_lit.config.checks import check_section
from vgg_lit.config.differences import changes
from vgg_lit.config.locations import PLACE_SETTINGS
from vgg_lit.config.schema import Trainer
from vgg_lit.errors import InputError
from vgg_lit.run_selection import LATEST, select_run
from vgg_lit.runs import Run
from vgg_lit.system.launch import FIRST_PROCESS, check_launch, detect, launcher_changes
from vgg_lit.system.overrides import as_overrides, key_of
from vgg_lit.training.resume_auto import (
    CommandLine,
    find_resumed,
    last_unfinished,
    read_command_line,
)
from vgg_lit.training.resuming import as_values_of_run

LAUNCHER_SETTINGS = ("trainer.num_nodes", "trainer.devices")
"""Settings that may differ in a resumed run, which then uses the current number of processes."""

TAKES_RUN = ("resume", "init.from", "loss.teacher")
"""Settings that take a run directory, and therefore also `latest`."""

NAMES_LATEST = re.compile(rf"(^|[,([]\s*){LATEST}(?=\s*(?:[]),]|$))")
"""`latest` as a value, or as one of the values of a sweep."""

SWEEP_DIRECTORY = "hydra.sweep.dir="

SWEEP = frozenset({"-m", "--multirun"})

SECONDS_TO_END = 30.0
"""Time limit for an earlier attempt at the same job to release its run."""


def prepare(arguments: list[str]) -> list[str]:
    """Returns the command line for Hydra, with the same run directory on all ranks.

    Raises:
        InputError: the launcher's processes do not match the config, the rendezvous fails, or the ranks
            have different settings.
    """
    sweeps = [
        Path(a.partition("=")[2].strip("'\"")) for a in arguments if a.startswith(SWEEP_DIRECTORY)
    ]
    sweep = sweeps[-1] if sweeps else None
    arguments = as_values_of_run([_with_path(argument, sweep) for argument in arguments])
    launch = detect()
    is_sweep = bool(SWEEP.intersection(arguments))
    if launch is None or (launch.world_size == 1 and not launch.restarts):
        return _with_directory(arguments) if is_sweep else find_resumed(arguments)
    if is_sweep:
        raise InputError(
            f"-m: a sweep cannot be started by {launch.launcher}; start one process and set hydra/launcher"
        )
    line = read_command_line(arguments)
    if line is None:
        return find_resumed(arguments)
    trainer = check_section(line.settings["trainer"], Trainer, "trainer")
    if not line.settings["resume"]:  # a resumed run is checked with its settings in `train`
        check_launch(trainer.num_nodes, trainer.devices)
    from vgg_lit.launching.rendezvous import meet, take_interface

    os.environ |= {"MASTER_ADDR": launch.address, "MASTER_PORT": str(launch.port)}
    if launch.num_nodes > 1:
        take_interface(launch.address)
    decision = meet(
        launch,
        lambda run: _decide(line, run),
        lambda decision: _objection(line, decision),
        trainer.rendezvous_timeout,
    )
    os.environ[FIRST_PROCESS] = str(decision["process"])
    if decision["arguments"]:
        return _with_own_places(decision["arguments"], line)
    return [*line.arguments, *as_overrides({"hydra.run.dir": decision["run"]})]


def _with_path(argument: str, sweep: Path | None) -> str:
    """Returns `resume=latest` and the like with the path of that run, other arguments unchanged.

    The path is inserted once, so that the processes of all ranks and all jobs of a sweep use the same run. The
    jobs of the sweep itself are not meant, so that its command can be repeated.

    Raises:
        InputError: there is no run, or `resume` names a file.
    """
    key, _, value = argument.partition("=")
    if key == "resume" and (file := Path(value.strip("'\""))).is_file():
        select_run(file, key)  # refuses it, before Hydra makes a folder of that name
    if key not in TAKES_RUN or not NAMES_LATEST.search(value) or Path(LATEST).exists():
        return argument
    (path,) = as_overrides({"": str(select_run(LATEST, key, sweep))})
    return f"{key}={NAMES_LATEST.sub(lambda match: match[1] + path.removeprefix('='), value)}"


def _with_directory(arguments: list[str]) -> list[str]:
    """Adds the directory of a sweep to its command line, so that all jobs use the same one."""
    line = read_command_line(arguments)
    if line is None or any(o.startswith(SWEEP_DIRECTORY) for o in line.overrides):
        return arguments
    return [*arguments, *as_overrides({"hydra.sweep.dir": str(line.directory)})]


def _with_own_places(arguments: list[str], line: CommandLine) -> list[str]:
    """Returns the arguments of rank 0 with the places of the data set that this rank was given."""
    others = [argument for argument in arguments if key_of(argument) not in PLACE_SETTINGS]
    if others == arguments and not line.places:
        return arguments
    return as_values_of_run([*others, *line.places])


def _decide(line: CommandLine, run_before: str | None) -> dict[str, Any]:
    """Returns the decision of rank 0: directory, arguments, settings and process ID.

    Args:
        line: command line of rank 0.
        run_before: run directory of an earlier attempt at the same job; None if there is none.
    """
    run = _resumed(line, run_before)
    now = launcher_changes(run.config["trainer"]) if run else {}
    if line.settings["resume"]:  # then typed values are kept
        typed = {key_of(override) for override in line.overrides}
        now = {key: value for key, value in now.items() if f"trainer.{key}" not in typed}
    return {
        "run": str(run.path if run else line.directory),
        "arguments": line.resuming(run, **now) if run else None,
        "settings": line.settings,
        "process": os.getpid(),
    }


def _objection(line: CommandLine, decision: dict[str, Any]) -> str:
    """Returns an error message if a setting differs from that of rank 0, else an empty string."""
    differing = next(changes(decision["settings"], line.settings), None)
    return f"{differing} on rank 0; start all ranks with the same command" if differing else ""


def _resumed(line: CommandLine, run_before: str | None) -> Run | None:
    if line.settings["resume"]:
        return Run(line.settings["resume"])
    if run_before and (run := _begun(Path(run_before))):
        return run
    if line.is_auto:
        return last_unfinished(line.directory.parent, line.settings, ignoring=LAUNCHER_SETTINGS)
    return None


def _begun(path: Path) -> Run | None:
    """Returns the run of an earlier attempt after its release; None if it has no checkpoint."""
    try:
        run = Run(path)
        run.newest_checkpoint()
    except InputError:
        return None
    deadline = time.monotonic() + SECONDS_TO_END
    while run.is_at_work() and time.monotonic() < deadline:
        time.sleep(0.5)
    return run

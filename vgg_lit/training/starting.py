"""What a training's command line comes to before Hydra reads it: the run to go on with, and where it lies.

Where torchrun or srun has started many processes, the first one decides that and tells the others: they
choose no directory by a clock or a random number of their own.
"""

import os
import time
from pathlib import Path
from typing import Any

from vgg_lit.config.checks import check_section
from vgg_lit.config.differences import changes
from vgg_lit.config.schema import Trainer
from vgg_lit.errors import InputError
from vgg_lit.runs import Run
from vgg_lit.system.launch import FIRST_PROCESS, check_launch, detect, of_launch
from vgg_lit.training.resuming import CommandLine, find_resumed, last_unfinished, read_command_line

OF_THE_LAUNCHER = ("trainer.num_nodes", "trainer.devices")
"""A run goes on, with a warning, on as many processes as there are now."""

SWEEP = frozenset({"-m", "--multirun"})

SECONDS_TO_END = 30.0
"""How long an earlier attempt at the same job may take to let go of its run."""


def prepare(arguments: list[str]) -> list[str]:
    """The command line that Hydra is to read, in all processes of a run to the same effect.

    Raises:
        InputError: what the launcher has started is not what the config says; the processes do not
            come together in time; they have been told different things.
    """
    launch = detect()
    is_sweep = bool(SWEEP.intersection(arguments))
    if launch is None or (launch.world_size == 1 and not launch.restarts):
        return _with_directory(arguments) if is_sweep else find_resumed(arguments)
    if is_sweep:
        raise InputError(
            f"-m: a sweep is started once, by itself, and not by {launch.launcher}; see hydra/launcher"
        )
    line = read_command_line(arguments)
    if line is None:
        return find_resumed(arguments)
    trainer = check_section(line.settings["trainer"], Trainer, "trainer")
    if not line.settings["resume"]:  # else the run's own settings count, see `train`
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
    return decision["arguments"] or [*line.arguments, f"hydra.run.dir='{decision['run']}'"]


def _with_directory(arguments: list[str]) -> list[str]:
    """A sweep's command line with its directory, which is to be the same wherever its jobs are run."""
    line = read_command_line(arguments)
    if line is None or any(o.startswith("hydra.sweep.dir=") for o in line.overrides):
        return arguments
    return [*arguments, f"hydra.sweep.dir='{line.directory}'"]


def _decide(line: CommandLine, run_before: str | None) -> dict[str, Any]:
    """What the first process tells the others.

    Args:
        line: its command line.
        run_before: the directory of an earlier attempt at this very job, if there was one.
    """
    run = _resumed(line, run_before)
    now = of_launch(run.config["trainer"]) if run else {}
    typed = {override.partition("=")[0] for override in line.overrides}
    now = {key: value for key, value in now.items() if f"trainer.{key}" not in typed}
    return {
        "run": str(run.path if run else line.directory),
        "arguments": line.resuming(run, **now) if run else None,
        "settings": line.settings,
        "process": os.getpid(),
    }


def _objection(line: CommandLine, decision: dict[str, Any]) -> str:
    """What this process has been told otherwise than the first one, if anything."""
    differing = next(changes(decision["settings"], line.settings), None)
    return f"{differing} in the first process: start all by the same line" if differing else ""


def _resumed(line: CommandLine, run_before: str | None) -> Run | None:
    if line.settings["resume"]:
        return Run(line.settings["resume"])
    if run_before and (run := _begun(Path(run_before))):
        return run
    if line.is_auto:
        return last_unfinished(line.directory.parent, line.settings, ignoring=OF_THE_LAUNCHER)
    return None


def _begun(path: Path) -> Run | None:
    """The run of an earlier attempt, once that has let go of it; None if there is nothing to go on from."""
    try:
        run = Run(path)
        run.newest_checkpoint()
    except InputError:
        return None
    deadline = time.monotonic() + SECONDS_TO_END
    while run.is_at_work() and time.monotonic() < deadline:
        time.sleep(0.5)
    return run

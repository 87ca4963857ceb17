"""Starts commands: Hydra composes the config; bad input is reported in one line, with exit code 2."""

import functools
import json
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vgg_lit.config.completion import print_completions
from vgg_lit.config.composing import errors_in_one_line
from vgg_lit.config.group_options import config_folder
from vgg_lit.config.help_text import read_help
from vgg_lit.config.hydra_versions import VERSION_BASE
from vgg_lit.config.local_defaults import drop_foreign_settings
from vgg_lit.config.plain_texts import with_quotes
from vgg_lit.config.refusals import check_flags, explain_refusal, flags_last
from vgg_lit.config.resolvers import register_resolvers
from vgg_lit.errors import (
    EXIT_BAD_INPUT,
    EXIT_FAILURE,
    InputError,
    Preempted,
    TrainingError,
    disk_error,
    one_line,
    path_error,
)
from vgg_lit.system import launch
from vgg_lit.system.ending_signals import ending_signals
from vgg_lit.system.first_line import announce_torch
from vgg_lit.system.launch import SWEEP_JOB
from vgg_lit.system.notebook import give_settings_folder
from vgg_lit.system.operating_system import end_this_process, ignoring_hangup, name_user
from vgg_lit.system.output import EXIT_PIPE_CLOSED, PipeClosed, guard_output, print_guarded
from vgg_lit.system.overrides import with_home
from vgg_lit.system.terminal import visible
from vgg_lit.version import versions

HELP = frozenset({"-h", "--help"})

SECONDS_TO_SAVE = 60
"""Time in which a job must save its work after its sweep has ended."""


def config_flags(hydra_config: Any) -> list[str]:
    """Returns the flags that selected other configs on the command line, for the trainings it starts."""
    flags = []
    for source in hydra_config.runtime.config_sources:
        if source.provider == "command-line":
            flags += ["--config-dir", source.path]
        elif source.provider == "main" and source.path != str(config_folder()):
            flags += ["--config-path", source.path]
    name = hydra_config.job.config_name
    return flags if name in ("train", "tune") else [*flags, "--config-name", name]


def inherited_overrides(hydra_config: Any) -> list[str]:
    """Returns the overrides of Hydra's settings, except those of the command itself and its directory."""
    return [
        override
        for override in hydra_config.overrides.hydra
        if not re.match(r"\+*hydra[./](mode|run|sweep|sweeper|launcher|help)\b", override)
    ]


def trusting(config: Mapping[str, Any]) -> list[str]:
    """Returns the override that passes `trusted_targets` to a resumed run.

    A resumed run ignores the `trusted_targets` in its directory: they are trusted only on the command line.
    """
    trusted = list(config.get("trusted_targets") or [])
    return [f"trusted_targets={json.dumps(trusted)}"] if trusted else []


def run_verb(
    task: Callable[[DictConfig], Any],
    config_name: str,
    prepare: Callable[[list[str]], list[str]] = list,
    needs_output: bool = True,
) -> None:
    """Composes `conf/<config_name>.yaml` with the command line's overrides and calls `task` with it.

    Exits with 2 and one line on standard error for bad input, with 1 and one line for a failed training
    (3 if memory ran out), with 143 or 130 for a training that a signal ended, and with 1 and a traceback
    for a bug.

    Args:
        task: the command.
        config_name: name of its config.
        prepare: maps the arguments of the command line to those that Hydra parses.
        needs_output: a command without readers of its output ends, silently if they have closed a pipe
            (exit code 141). If False, it continues, also after its terminal is closed.
    """
    launch.drop_left_over_rank()
    if HELP.intersection(sys.argv[1:]):
        print_guarded(read_help(config_name, config_folder()))
        return
    if "--version" in sys.argv[1:]:
        print_guarded(versions())
        return
    if print_completions(config_name, sys.argv[1:]):
        return
    guard_output(needs_output)
    announce_torch(config_name)
    os.environ["MPLBACKEND"] = "agg"  # figures are files; a notebook's backend may not be installed
    give_settings_folder()
    name_user()
    # Makes Hydra raise errors; otherwise it prints several lines and exits with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    if SWEEP_JOB in os.environ:
        threading.Thread(target=_end_with_the_sweep, daemon=True).start()
    register_resolvers()
    # The files in conf/hydra/launcher share their names with configs of the launchers' packages.
    warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/\w+' is validated against")
    # Hydra 1.4 warns that 1.5 will need a list of the callbacks that it may build.
    warnings.filterwarnings(
        "ignore", message=r"\s*hydra\.utils\.instantiate\(\) resolved _target_='vgg_lit\."
    )
    decorate = hydra.main(config_path=str(config_folder()), config_name=config_name, **VERSION_BASE)
    guarded = GuardedTask(functools.partial(_run_with_own_settings, task, config_name))
    try:
        with ending_signals, ignoring_hangup(not needs_output):
            _check_working_directory()
            check_flags(sys.argv[1:], config_name)
            if SWEEP_JOB not in os.environ:  # a job has the overrides that its sweep has recorded
                sys.argv[1:] = with_quotes(with_home(sys.argv[1:]))
            sys.argv[1:] = flags_last(prepare(flags_last(sys.argv[1:])))
            try:
                decorate(guarded)()
            except SystemExit:  # after --help
                sys.stdout.flush()
                raise
        sys.stdout.flush()  # a full disk may raise only here
    except PipeClosed:
        sys.exit(EXIT_PIPE_CLOSED)
    except Preempted as stop:
        if launch.prints_errors():
            print(visible(str(stop)), file=sys.stderr)
        sys.exit(stop.exit_code)
    except (HydraException, OmegaConfBaseException, InputError) as error:
        guarded.refused.append(explain_refusal(error, config_name, sys.argv[1:]))
    except TrainingError as error:  # standard output cannot be written
        guarded.failed.append(one_line(error))
    except Exception as error:
        is_of_disk = disk_error(error) is not None
        if guarded.is_composed and not is_of_disk and not path_error(error):
            raise
        # The task has not started, or a path is too long: the command line or a config file is invalid.
        messages = guarded.failed if is_of_disk and guarded.is_composed else guarded.refused
        messages.append(explain_refusal(error, config_name, sys.argv[1:]))
    finally:
        if launch.prints_errors():
            for message in guarded.refused + guarded.failed:
                print(f"error: {visible(' '.join(message.split()))}", file=sys.stderr)
    if guarded.refused or guarded.failed:
        sys.exit(guarded.exit_code if guarded.failed else EXIT_BAD_INPUT)


def _check_working_directory() -> None:
    """Raises InputError if the folder that the command was started in has been removed."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise InputError("the working directory no longer exists; change to another one") from None


def _run_with_own_settings(
    task: Callable[[DictConfig], Any], config_name: str, config: DictConfig
) -> Any:
    typed = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    drop_foreign_settings(config, config_name, typed)
    return task(config)


class GuardedTask:
    """A command as Hydra calls it; records errors instead of raising them, so that Hydra prints nothing.

    The other jobs of a sweep continue. A launcher of remote processes either adds the errors of its jobs, or
    pickles this object, which is unpickled as `run_elsewhere`.

    Args:
        task: the command.
    """

    def __init__(self, task: Callable[[DictConfig], Any]) -> None:
        self.refused: list[str] = []  # bad input
        self.failed: list[str] = []
        self.exit_code = EXIT_FAILURE
        self.is_composed = False  # if True, errors other than those of input are bugs
        self._task = task

    def __call__(self, config: DictConfig) -> Any:
        """Returns the result of the command; None if it failed."""
        self.is_composed = True
        try:
            with errors_in_one_line():
                return self._task(config)
        except InputError as error:
            self.refused.append(one_line(error))
        except TrainingError as error:
            self.failed.append(one_line(error))
            self.exit_code = error.exit_code
        return None

    def __reduce__(self) -> tuple[Callable, tuple]:
        return _sent_elsewhere, (self._task,)


def _sent_elsewhere(task: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    register_resolvers()  # before the config that was pickled with it is read
    return functools.partial(run_elsewhere, task)


def run_elsewhere(task: Callable[[DictConfig], Any], config: DictConfig) -> Any:
    """Runs a job of a sweep in a process of another launcher, which returns exceptions to the sweep.

    Raises:
        TrainingError: a signal has ended the job; a launcher treats this as any failure.
    """
    try:
        with ending_signals:
            return task(config)
    except Preempted as stop:
        raise TrainingError(str(stop)) from stop


def _end_with_the_sweep() -> None:
    """Waits until the sweep of this job has ended in any way, then ends the job."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    end_this_process(SECONDS_TO_SAVE)

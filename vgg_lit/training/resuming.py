"""Resumed runs: the run that `resume=auto` selects, its config and its command line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from vgg_lit.config.command import config_folder, trusting
from vgg_lit.config.differences import changes
from vgg_lit.config.resolvers import register_resolvers
from vgg_lit.errors import InputError
from vgg_lit.renamed_settings import with_new_names
from vgg_lit.runs import Run
from vgg_lit.sweeps import Job, Sweep

AUTO = "resume=auto"


class CommandLine(NamedTuple):
    """The parsed arguments of the train command.

    Attributes:
        arguments: all arguments except `resume=auto`.
        overrides: the arguments that are overrides.
        is_auto: True if `resume=auto` was given.
        is_sweep: True if the arguments start a sweep.
        directory: directory of a new run or sweep.
        settings: composed config as plain values.
    """

    arguments: list[str]
    overrides: list[str]
    is_auto: bool
    is_sweep: bool
    directory: Path
    settings: dict[str, Any]

    def resuming(self, run: Run, **trainer: int) -> list[str]:
        """Returns the arguments that resume a run, with changed values of its `trainer` group.

        If `resume=<run>` was given, the other overrides are kept. If the run was found by `resume=auto`,
        they are dropped except for `trusted_targets`: they equal the settings of the run or have no
        effect.
        """
        typed = self.arguments
        if not self.settings["resume"]:
            flags = [argument for argument in self.arguments if argument not in self.overrides]
            typed = [*flags, f"resume={run.path}", *trusting(self.settings)]
        return [*typed, *(f"trainer.{key}={value}" for key, value in trainer.items())]


def read_command_line(arguments: Sequence[str]) -> CommandLine | None:
    """Parses a command line; returns None if that fails, because Hydra will report the same error."""
    others = [argument for argument in arguments if argument != AUTO]
    try:
        parsed = get_args_parser().parse_args(others)
        register_resolvers()
        folder = Path(parsed.config_path or config_folder()).absolute()
        overrides = list(parsed.overrides)
        if parsed.config_dir:
            overrides.append(f"hydra.searchpath=['{Path(parsed.config_dir).absolute()}']")
        if parsed.multirun:
            typed = OverridesParser.create().parse_overrides(overrides)
            overrides = [str(o.input_line) for o in typed if not o.is_sweep_override()]
        with hydra.initialize_config_dir(str(folder), version_base="1.3"):
            config = hydra.compose(
                parsed.config_name or "train", overrides=overrides, return_hydra_config=True
            )
        directory = Path((config.hydra.sweep if parsed.multirun else config.hydra.run).dir)
        settings = OmegaConf.to_container(
            OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]),
            resolve=True,
        )
    except Exception:  # Hydra raises many types
        return None
    assert isinstance(settings, dict)
    plain = with_new_names({str(key): value for key, value in settings.items()})
    return CommandLine(
        others, parsed.overrides, AUTO in arguments, bool(parsed.multirun), directory, plain
    )


def find_resumed(arguments: Sequence[str]) -> list[str]:
    """Replaces `resume=auto` by the run that it selects, or removes it if there is none.

    The selected run is the last unfinished one with the same settings and an intact checkpoint. Invalid
    arguments are left for the command to report.
    """
    if AUTO not in arguments:
        return list(arguments)
    line = read_command_line(arguments)
    if line and line.is_sweep:
        return list(arguments)
    if line and (found := last_unfinished(line.directory.parent, line.settings)):
        return line.resuming(found)
    return [argument for argument in arguments if argument != AUTO]


def last_unfinished(
    folder: Path, wanted: Mapping[str, Any], ignoring: Sequence[str] = ()
) -> Run | None:
    """Returns the last run of the given settings that is not done, not training and has an intact checkpoint.

    Args:
        folder: folder of runs.
        wanted: settings of the run.
        ignoring: names of settings that may differ.
    """
    for file in sorted(folder.glob("*/config.yaml"), reverse=True):
        run = Run(file.parent)
        try:
            is_wanted = run.status.get("status") != "done" and not list(
                changes(run.typed_config, wanted, ignoring=ignoring)
            )
            if is_wanted and not run.is_at_work():
                run.newest_checkpoint()
                return run
        except (InputError, OSError):  # a damaged run, or one of another user
            continue
    return None


def resumed_config(run: Run, config: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """Returns the config of a resumed run with the overrides of the command line.

    `trusted_targets` of the run is ignored, because its directory may come from an untrusted source.

    Args:
        run: run to resume.
        config: config that Hydra composed for this command line; the values of overrides are read from it.
        overrides: overrides of the command line, e.g. `trainer.max_epochs=20`.

    Raises:
        InputError: an override selects a group (`model=...`).
    """
    resumed = OmegaConf.create(run.config)
    OmegaConf.update(resumed, "trusted_targets", config.trusted_targets)
    for override in overrides:
        key = override.split("=", 1)[0].lstrip("+~")
        value = OmegaConf.select(config, key)
        if key != "resume" and isinstance(OmegaConf.select(resumed, key), DictConfig):
            raise InputError(
                f"{override}: a resumed run keeps its {key}; allowed: single values such as {key}.<name>=..."
            )
        OmegaConf.update(resumed, key, value)
    plain: Any = OmegaConf.to_container(resumed)
    return with_new_names({str(key): value for key, value in plain.items()})


def begun_job(path: Path, overrides: Sequence[str]) -> Run | None:
    """Returns the run of a restarted job of a sweep; None if the job has no checkpoint yet.

    With it, a job that a cluster scheduler requeues resumes, and so does a repeated sweep.

    Raises:
        InputError: the directory contains the run of another job.
    """
    if not (path / "config.yaml").is_file():
        return None
    run = Run(path)
    before = (path / "overrides.txt").read_text(encoding="utf-8").split("\n")[:-1]
    if before != list(overrides):
        raise InputError(
            f"{path}: contains another job ({' '.join(before)}); to resume a sweep, repeat its command exactly"
        )
    try:
        run.newest_checkpoint()
    except InputError:  # no checkpoint yet
        Sweep(path.parent).set_aside(Job(0, before, path.name))
        return None
    return run

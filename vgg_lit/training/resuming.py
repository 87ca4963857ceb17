"""Resumed runs: the run that `resume=auto` selects, its config and its command line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from vgg_lit.config.command import trusting
from vgg_lit.config.command_line import parse_command_line
from vgg_lit.config.differences import COMMAND_SETTINGS, changes
from vgg_lit.config.group_options import config_folder
from vgg_lit.config.hydra_versions import VERSION_BASE
from vgg_lit.config.locations import PLACE_SETTINGS, asked_places, is_same_place, located
from vgg_lit.config.near_matches import dotted, hint
from vgg_lit.config.resolvers import register_resolvers
from vgg_lit.errors import InputError, one_line
from vgg_lit.renamed_settings import with_new_names
from vgg_lit.runs import Run
from vgg_lit.system.claims import claim
from vgg_lit.system.overrides import as_overrides, shell_words
from vgg_lit.system.terminal import warn

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
        they are dropped except for `trusted_targets` and `accept_data_changes`: they equal the settings of the
        run or have no effect.
        """
        typed = self.arguments
        if not self.settings["resume"]:
            flags = [argument for argument in self.arguments if argument not in self.overrides]
            place = as_overrides({"resume": str(run.path)})
            typed = [*flags, *place, *trusting(self.settings)]
            typed += [o for o in self.overrides if o.startswith("accept_data_changes=")]
        return [*typed, *(f"trainer.{key}={value}" for key, value in trainer.items())]


def read_command_line(arguments: Sequence[str]) -> CommandLine | None:
    """Parses a command line; returns None if that fails, because Hydra will report the same error."""
    others = [argument for argument in arguments if argument != AUTO]
    try:
        parsed = parse_command_line(others)
        register_resolvers()
        folder = Path(parsed.config_path or config_folder()).absolute()
        overrides = list(parsed.overrides)
        if parsed.config_dir:
            overrides.append(f"hydra.searchpath=['{Path(parsed.config_dir).absolute()}']")
        if parsed.multirun:
            typed = OverridesParser.create().parse_overrides(overrides)
            overrides = [str(o.input_line) for o in typed if not o.is_sweep_override()]
        with hydra.initialize_config_dir(str(folder), **VERSION_BASE):
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

    The run is claimed for this process, so that two commands at the same time do not select the same run.

    Args:
        folder: folder of runs.
        wanted: settings of the run.
        ignoring: names of settings that may differ.
    """
    for file in sorted(folder.glob("*/config.yaml"), reverse=True):
        run = Run(file.parent)
        try:
            is_wanted = run.status.get("status") != "done" and not list(
                changes(run.typed_config, wanted, ignoring=(*ignoring, "data.splitting"))
            )
            if not is_wanted or not run.has_checkpoint() or not _has_data_of(run, wanted):
                continue
            run.newest_checkpoint()
            if claim(run.path):
                return run
        except (InputError, OSError) as error:  # a damaged run, or one of another user
            warn(f"resume=auto: {one_line(error)}; this run is passed over")
    return None


def _has_data_of(run: Run, wanted: Mapping[str, Any]) -> bool:
    """Returns True if a run has the data of a config: in the same place, or the same images elsewhere."""
    if is_same_place(run.config.get("data") or {}, wanted.get("data") or {}):
        return True
    from vgg_lit.data.data_record import read_data_record
    from vgg_lit.data.same_data import difference_from

    record = read_data_record(run.data_file)
    return record is not None and not difference_from(record, wanted["data"])


def resumed_config(run: Run, config: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """Returns the config of a resumed run with the overrides of the command line.

    `trusted_targets` of the run is ignored, because its directory may come from an untrusted source, and so
    is `accept_data_changes`, which applies to one resume.

    Args:
        run: run to resume.
        config: config that Hydra composed for this command line; the values of overrides are read from it.
        overrides: overrides of the command line, e.g. `trainer.max_epochs=20`.

    Raises:
        InputError: an override selects a group (`model=...`), or the run has no such setting.
    """
    resumed = OmegaConf.create(run.config)
    for name in COMMAND_SETTINGS[1:]:
        OmegaConf.update(resumed, name, OmegaConf.select(config, name), force_add=True)
    for override in overrides:
        key = override.split("=", 1)[0].lstrip("+~")
        if key in (*COMMAND_SETTINGS, *PLACE_SETTINGS):
            continue
        section, _, name = key.rpartition(".")
        place = OmegaConf.select(resumed, section) if section else resumed
        present = OmegaConf.select(resumed, key)
        if isinstance(present, DictConfig) or "/" in key or (config_folder() / key).is_dir():
            raise InputError(_keeps_group(run, override, key, present))
        is_added = override.startswith("+") and not override.startswith("++")
        is_known = isinstance(place, DictConfig) and (name in place or is_added)
        if not is_known and (section or name not in config):
            nearest = place if isinstance(place, DictConfig) else resumed
            meant = hint(key, [*dotted(run.config)])
            raise InputError(
                f"resume={run.path}: unknown key {key}; {meant}allowed: {', '.join(map(str, nearest))}"
            )
        OmegaConf.update(resumed, key, OmegaConf.select(config, key), force_add=True)
    plain: Any = OmegaConf.to_container(resumed)
    placed = located(plain, asked_places(config, overrides))
    return with_new_names({str(key): value for key, value in placed.items()})


def _keeps_group(run: Run, override: str, key: str, present: Any) -> str:
    """Explains that a group cannot be selected again, with the values of it that can be set."""
    names = [str(name) for name in present] if isinstance(present, DictConfig) else []
    values = [f"{key}.{name}" for name in names if name != "_target_"]
    allowed = f"; allowed: single values: {', '.join(values)}" if values else ""
    return (
        f"{override}: a resumed run keeps its {key}{allowed}; to train with another {key}, start a new "
        f"run, with the weights of this one with {shell_words({'init.from': run.path})}"
    )


def as_values_of_run(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments of `resume=<run>` in a form that Hydra accepts for any setting of the run.

    Hydra composes the default config, which may lack a setting of the run, for example of another
    schedule. `++key=value` accepts it, and `resumed_config` checks it against the run's config.
    """
    if not any(argument.startswith("resume=") for argument in arguments):
        return list(arguments)
    try:
        parsed = parse_command_line(arguments)
        typed = {
            o.input_line: o for o in OverridesParser.create().parse_overrides(parsed.overrides)
        }
    except Exception:  # Hydra reports the error
        return list(arguments)
    resume = next((o.value() for o in typed.values() if o.key_or_group == "resume"), None)
    if resume in (None, "auto") or parsed.multirun:
        return list(arguments)
    return [_forced(a, typed[a]) if a in typed else a for a in arguments]


def _forced(argument: str, override: Override) -> str:
    """Returns an override of a value in a section with the prefix `++`."""
    key = override.key_or_group
    if "." not in key or "/" in key or key.startswith("hydra."):
        return argument
    if override.type == OverrideType.CHANGE:
        return f"++{argument}"
    return f"++{key}=null" if override.type == OverrideType.DEL else argument


def warn_of_changes(run: Run, config: Mapping[str, Any]) -> None:
    """Prints the settings of a resumed run that change its result."""
    for change in changes(run.config, config):
        warn(f"{change}: the result will differ from an uninterrupted run")


def begun_job(path: Path, overrides: Sequence[str]) -> Run | None:
    """Returns the run of a restarted job of a sweep; None if it is neither done nor has a checkpoint.

    With it, a job that a cluster scheduler requeues resumes, and so does a repeated sweep. A job that is
    done needs no checkpoint.

    Raises:
        InputError: the directory contains the run of another job.
    """
    if not (path / "config.yaml").is_file():
        return None
    run = Run(path)
    run.overrides.check_job(overrides)
    if run.is_done():
        return run
    try:
        run.newest_checkpoint()
    except InputError:  # no checkpoint yet
        run.set_aside()
        return None
    return run

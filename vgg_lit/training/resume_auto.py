"""`resume=auto`: the run that it selects, and the command line that resumes the run.

find_resumed(["model=vgg16", "test=false", "resume=auto"])
# ["resume=logs/runs/vgg16/2026-01-31_12-00-00_1f3a", "test=false"]
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from vgg_lit.config.command import trusting
from vgg_lit.config.command_line import parse_command_line
from vgg_lit.config.differences import COMMAND_SETTINGS, WITHOUT_EFFECT, changes
from vgg_lit.config.group_options import config_folder
from vgg_lit.config.hydra_versions import VERSION_BASE
from vgg_lit.config.locations import PLACE_SETTINGS, is_same_place
from vgg_lit.config.resolvers import register_resolvers
from vgg_lit.errors import InputError, one_line
from vgg_lit.renamed_settings import with_new_names
from vgg_lit.runs import Run
from vgg_lit.system.claims import claim
from vgg_lit.system.overrides import as_overrides, key_of
from vgg_lit.system.terminal import warn
from vgg_lit.training.resuming import as_values_of_run, resumed_config

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

        If `resume=<run>` was given, the other overrides are kept. Otherwise the run was found by its settings.
        Then these are kept: `trusted_targets`, `accept_data_changes`, the place of the data set if it differs,
        and values that differ and do not affect the weights. The others equal the settings of the run. Prints
        a warning of each override that differs and does not apply to a resumed run.
        """
        typed = self.arguments
        if not self.settings["resume"]:
            flags = [argument for argument in self.arguments if argument not in self.overrides]
            place = as_overrides({"resume": str(run.path)})
            typed = [*flags, *place, *trusting(self.settings)]
            typed += [o for o in self.overrides if key_of(o) == "accept_data_changes"]
            typed = as_values_of_run([*typed, *self._differing(run)])
        return [*typed, *(f"trainer.{key}={value}" for key, value in trainer.items())]

    @property
    def places(self) -> list[str]:
        """The overrides that name the place of the data set on this machine."""
        return [override for override in self.overrides if key_of(override) in PLACE_SETTINGS]

    def _differing(self, run: Run) -> Iterator[str]:
        """Yields the overrides that differ from a run of the same settings, and that it accepts."""
        typed = OmegaConf.create(self.settings)
        before = resumed_config(run, typed, [])
        if not is_same_place(run.config.get("data") or {}, self.settings["data"]):
            yield from self.places
        for override in self.overrides:
            key = key_of(override)
            if key in (*COMMAND_SETTINGS, *PLACE_SETTINGS) or not key.startswith(WITHOUT_EFFECT):
                continue
            if OmegaConf.select(typed, key) == OmegaConf.select(OmegaConf.create(before), key):
                continue
            try:
                if key == "data.test_size":
                    raise InputError(f"{override}: a resumed run keeps its splits")
                resumed_config(run, typed, [override])
            except InputError as error:
                warn(f"resume=auto: not applied to {run.path}: {one_line(error)}")
            else:
                yield override


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
        try:
            run = Run(file.parent)
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

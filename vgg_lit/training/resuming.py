"""Resumed runs: their config, the overrides that they accept, and restarted jobs of a sweep."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from vgg_lit.config.command_line import parse_command_line
from vgg_lit.config.differences import COMMAND_SETTINGS, changes
from vgg_lit.config.followers import follow
from vgg_lit.config.group_options import config_folder
from vgg_lit.config.locations import PLACE_SETTINGS, asked_places, located
from vgg_lit.config.near_matches import dotted, hint
from vgg_lit.errors import InputError
from vgg_lit.renamed_settings import with_new_names
from vgg_lit.runs import Run
from vgg_lit.system.overrides import key_of, shell_words
from vgg_lit.system.terminal import warn
from vgg_lit.value_types import as_written

KEPT = (
    *("seed", "freeze"),
    *("optimizer.layer_rates", "optimizer.layer_epochs", "optimizer.decay_norm_and_bias"),
)
"""Settings that a run keeps: its splits and the parameter groups of its optimiser state depend on them."""

WITHOUT_USE = ("init.from", "init.layers", "ckpt_path", "model.init", "name")
"""Settings of the first weights and of the directory, which a resumed run has."""


def resumed_config(run: Run, config: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """Returns the config of a resumed run with the overrides of the command line.

    `trusted_targets` of the run is ignored, because its directory may come from an untrusted source, and so
    is `accept_data_changes`, which applies to one resume. Settings that follow a changed one change with it, as
    in a new run.

    Args:
        run: run to resume.
        config: config that Hydra composed for this command line; the values of overrides are read from it.
        overrides: overrides of the command line, e.g. `trainer.max_epochs=20`.

    Raises:
        InputError: an override selects a group (`model=...`), would have no effect or is one that a run keeps,
            or the run has no such setting.
    """
    recorded = OmegaConf.create(run.config)
    resumed = recorded.copy()
    for name in COMMAND_SETTINGS[1:]:
        OmegaConf.update(resumed, name, OmegaConf.select(config, name), force_add=True)
    for override in overrides:
        key = key_of(override)
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
        value = OmegaConf.select(config, key)
        if key in (*KEPT, *WITHOUT_USE) and value != present:
            raise InputError(_keeps_value(key, value))
        OmegaConf.update(resumed, key, value, force_add=True)
    follow(recorded, resumed, [key_of(override) for override in overrides])
    plain: Any = OmegaConf.to_container(resumed)
    placed = located(plain, asked_places(config, overrides))
    return with_new_names({str(key): value for key, value in placed.items()})


def _keeps_value(key: str, value: Any) -> str:
    """Explains that a setting cannot be changed."""
    plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    reason = f"a resumed run keeps {key}" if key in KEPT else "has no effect in a resumed run"
    return f"{key}={as_written(plain)}: {reason}; start a new run"


def _keeps_group(run: Run, override: str, key: str, present: Any) -> str:
    """Explains that a group cannot be selected again, with the values of it that can be set."""
    names = [str(name) for name in present] if isinstance(present, DictConfig) else []
    values = [f"{key}.{name}" for name in names if name != "_target_"]
    allowed = f"; allowed: single values: {', '.join(values)}" if values else ""
    return (
        f"{override.removeprefix('++')}: a resumed run keeps its {key}{allowed}; to train with another {key}, start a new "
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

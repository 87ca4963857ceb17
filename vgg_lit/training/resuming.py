"""Which run `resume=auto` goes on with, its config, and what typed anew would change its course."""

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
from vgg_lit.runs import Run
from vgg_lit.sweeps import Job, Sweep

AUTO = "resume=auto"


class CommandLine(NamedTuple):
    """What was typed behind the train command, as Hydra will read it.

    Attributes:
        arguments: all of them but `resume=auto`.
        overrides: those that set something.
        is_auto: whether `resume=auto` was among them.
        is_sweep: whether they ask for one.
        directory: of a new run, or of a new sweep.
        settings: composed, as plain values.
    """

    arguments: list[str]
    overrides: list[str]
    is_auto: bool
    is_sweep: bool
    directory: Path
    settings: dict[str, Any]

    def resuming(self, run: Run, **trainer: int) -> list[str]:
        """The arguments that go on with a run, with those of its `trainer` that are others now.

        One that was found has its settings, but for what to trust; what was typed now differs from them
        only where that has no effect. One that was named takes what was typed too.
        """
        typed = self.arguments
        if not self.settings["resume"]:
            flags = [argument for argument in self.arguments if argument not in self.overrides]
            typed = [*flags, f"resume={run.path}", *trusting(self.settings)]
        return [*typed, *(f"trainer.{key}={value}" for key, value in trainer.items())]


def read_command_line(arguments: Sequence[str]) -> CommandLine | None:
    """Reads a command line; None if it cannot be: Hydra will meet the same again and say it."""
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
    except Exception:  # any of Hydra's many kinds
        return None
    assert isinstance(settings, dict)
    plain = {str(key): value for key, value in settings.items()}
    return CommandLine(
        others, parsed.overrides, AUTO in arguments, bool(parsed.multirun), directory, plain
    )


def find_resumed(arguments: Sequence[str]) -> list[str]:
    """The command line with the run that `resume=auto` finds in its place, or without it.

    That is the last run begun with the same settings that is not done and has a whole checkpoint. What
    is wrong with the arguments is left to the verb to say.
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
    """The last run of these settings that is not done, not at work, and has a whole checkpoint.

    Args:
        folder: of runs.
        wanted: the settings.
        ignoring: settings that may be others.
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
        except (InputError, OSError):  # a damaged one, or somebody else's
            continue
    return None


def resumed_config(run: Run, config: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """The config of a run that goes on, with the values that were typed this time.

    What the run trusted is not trusted for that: its directory may come from a stranger.

    Args:
        run: the run to go on with.
        config: what Hydra composed this time; the typed values are taken from it.
        overrides: what was typed, e.g. `trainer.max_epochs=20`.

    Raises:
        InputError: a whole group (`model=...`) was typed: the run has its own.
    """
    resumed = OmegaConf.create(run.config)
    OmegaConf.update(resumed, "trusted_targets", config.trusted_targets)
    for override in overrides:
        key = override.split("=", 1)[0].lstrip("+~")
        value = OmegaConf.select(config, key)
        if key != "resume" and isinstance(OmegaConf.select(resumed, key), DictConfig):
            raise InputError(
                f"{override}: a resumed run keeps its {key}; change single values only"
            )
        OmegaConf.update(resumed, key, value)
    return {str(key): value for key, value in OmegaConf.to_container(resumed).items()}  # type: ignore[union-attr]


def begun_job(path: Path, overrides: Sequence[str]) -> Run | None:
    """The run of a sweep's job that another launcher starts a second time; None if it is to begin.

    So a job that a scheduler has put back into its queue goes on, and so does a sweep.

    Raises:
        InputError: it is the run of another job.
    """
    if not (path / "config.yaml").is_file():
        return None
    run = Run(path)
    before = (path / "overrides.txt").read_text(encoding="utf-8").split("\n")[:-1]
    if before != list(overrides):
        raise InputError(
            f"{path}: holds the job {' '.join(before)}; with this launcher a sweep goes on by its very command"
        )
    try:
        run.newest_checkpoint()
    except InputError:  # it has written none yet
        Sweep(path.parent).set_aside(Job(0, before, path.name))
        return None
    return run

"""Which run `resume=auto` goes on with, and what of a resumed run's settings would change its course."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from omegaconf import OmegaConf

from vgg_lit.command import config_folder
from vgg_lit.errors import InputError
from vgg_lit.runs import Run, register_resolvers

AUTO = "resume=auto"

WITHOUT_EFFECT = (
    "resume",
    "name",
    "test",
    "objective",
    "logger",
    "data_root",
    "trusted_targets",
    "callbacks.checkpointing.every_n",
    "callbacks.checkpointing.asynchronous",
    "callbacks.progress",
    "callbacks.layer_times",
    "data.root",
    "data.source.root",
    "data.source.num_workers",
    "data.source.in_memory",
    "data.test_size",
    "trainer.process_timeout",
    "trainer.log_every_n_steps",
    "trainer.enable_progress_bar",
    "trainer.profiler",
    "trainer.max_time",
    "trainer.limit_test_batches",
)
"""Settings, by how they begin, that do not decide which weights a run comes to."""


def find_resumed(arguments: Sequence[str]) -> list[str]:
    """The command line with the run that `resume=auto` finds in its place, or without it.

    That is the last run begun with the same settings that is not done and has a whole checkpoint. What
    is wrong with the arguments is left to the verb to say.
    """
    if AUTO not in arguments:
        return list(arguments)
    others = [argument for argument in arguments if argument != AUTO]
    try:
        parsed = get_args_parser().parse_args(others)
        if parsed.multirun:
            return list(arguments)
        register_resolvers()
        folder = Path(parsed.config_path or config_folder()).absolute()
        overrides = list(parsed.overrides)
        if parsed.config_dir:
            overrides.append(f"hydra.searchpath=['{Path(parsed.config_dir).absolute()}']")
        with hydra.initialize_config_dir(str(folder), version_base="1.3"):
            config = hydra.compose(
                parsed.config_name or "train", overrides=overrides, return_hydra_config=True
            )
        runs = Path(config.hydra.run.dir).parent
        wanted = OmegaConf.to_container(
            OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]),
            resolve=True,
        )
    except Exception:  # any of Hydra's many kinds: it will meet the same again and say it
        return others
    assert isinstance(wanted, dict)
    found = _last_unfinished(runs, {str(key): value for key, value in wanted.items()})
    if not found:
        return others
    # The run has its settings, but for what to trust; what was typed now differs from them only where
    # that has no effect.
    flags = [other for other in others if other not in parsed.overrides]
    trusted = wanted["trusted_targets"]
    trusting = [f"trusted_targets={json.dumps(trusted)}"] if trusted else []
    return [*flags, f"resume={found.path}", *trusting]


def _last_unfinished(folder: Path, wanted: Mapping[str, Any]) -> Run | None:
    for file in sorted(folder.glob("*/config.yaml"), reverse=True):
        run = Run(file.parent)
        try:
            is_wanted = run.status.get("status") != "done" and not list(changes(run.config, wanted))
            if is_wanted and not run.is_at_work():
                run.newest_checkpoint()
                return run
        except (InputError, OSError):  # a damaged one, or somebody else's
            continue
    return None


def changes(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The settings that would change a run's course, as `key=value (was value)`.

    Args:
        before: of the run.
        after: of today. A number of classes that is left to the data is the same.
        prefix: of the keys.
    """
    for name in dict.fromkeys([*before, *after]):
        key = f"{prefix}{name}"
        old, new = before.get(name), after.get(name)
        if old == new or key.startswith(WITHOUT_EFFECT):
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from changes(old, new, f"{key}.")
        elif not (name == "num_classes" and new is None):
            yield f"{key}={_typed(new)} (was {_typed(old)})"


def _typed(value: Any) -> str:
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )

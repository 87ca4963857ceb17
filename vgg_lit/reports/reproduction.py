"""Comparison of two runs of the same config, and possible causes of differences.

reproduction = Reproduction(Run("published"), Run("again"))
reproduction.is_exact, reproduction.weights, reproduction.metrics
reproduction.settings, reproduction.environment
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vgg_lit.checkpoints.storage import read_checkpoint
from vgg_lit.config.differences import differing_settings, flattened
from vgg_lit.errors import InputError, one_line
from vgg_lit.reports.training_again import REPRODUCTION, changes_of_resumes
from vgg_lit.runs import Run
from vgg_lit.system.files import write_json
from vgg_lit.tables import print_facts, print_rows

MOST_ROWS = 20
"""Most rows of a printed table of differences; the file has all of them."""

CHECKPOINTS = ("best", "last")

TIMED = ("seconds", "throughput/")
"""Prefixes of metrics that depend on timing, which are not compared."""

IGNORED_ENVIRONMENT = ("host", "directory", "command", "platform", "git_is_dirty")
"""Keys of `environment.json` that do not influence results."""

IGNORED_SETTINGS = ("data_root", "data.root", "data.source.root")
"""Settings of data locations, which do not influence results."""


@dataclass(frozen=True)
class Weights:
    """The difference between the weights of two checkpoints.

    Attributes:
        tensors: number of tensors.
        differing: number of tensors that differ.
        distance: largest absolute difference of a value.
    """

    tensors: int
    differing: int
    distance: float


def check_original(run: Run) -> None:
    """Reads all files of a finished run that `Reproduction` compares, before a second training starts.

    Raises:
        InputError: a file of the run cannot be read, or a checkpoint records settings that are not plain values.
    """
    for name in _checkpoints(run):
        _weights(run, name)
    _trained_config(run)
    dict(_metrics(run))
    _environment(run)


class Reproduction:
    """The differences between a run and its repetition.

    Args:
        original: finished run.
        repeated: finished repetition of the run.

    Attributes:
        weights: differences of the weights, by the name of each checkpoint that both runs have.
        metrics: differing final and epoch metrics, as (then, now).
        settings: differing settings, as (then, now). Settings recorded in a checkpoint, if there is one, take
            precedence over `config.yaml`, which can be edited.
        environment: differing versions and hardware, as (then, now).
        resumed: overrides with which the original was resumed; its first epochs had other settings.

    Raises:
        InputError: a file of a run cannot be read.
    """

    def __init__(self, original: Run, repeated: Run) -> None:
        self.weights = {
            name: _compare_weights(_weights(original, name), _weights(repeated, name))
            for name in _checkpoints(original)
            if name in _checkpoints(repeated)
        }
        self.metrics = _differences(dict(_metrics(original)), dict(_metrics(repeated)))
        self.settings = _differing_settings(original, repeated)
        self.resumed = changes_of_resumes(original)
        self.environment = _differences(
            dict(flattened(_environment(original), " ")),
            dict(flattened(_environment(repeated), " ")),
        )

    @property
    def causes(self) -> list[str]:
        """The names of settings, versions and hardware that differ, and overrides of resumes."""
        return [*self.settings, *self.environment, *map("resumed with {}".format, self.resumed)]

    @property
    def is_exact(self) -> bool:
        """True if the metrics, and the weights of checkpoints that both runs have, are exactly equal."""
        return not self.metrics and not any(found.differing for found in self.weights.values())

    def largest_move(self) -> tuple[str, float]:
        """Returns the metric with the largest difference; epoch metrics only if no final one differs."""
        moves = {
            name: abs(now - then)
            for name, (then, now) in self.metrics.items()
            if isinstance(then, float) and isinstance(now, float)
        }
        final = {name: move for name, move in moves.items() if not name.startswith("epoch ")}
        moves = final or moves or {"none": 0.0}
        name = max(moves, key=moves.__getitem__)
        return name, moves[name]


def _checkpoints(run: Run) -> list[str]:
    return [name for name in CHECKPOINTS if (run.checkpoints / f"{name}.ckpt").is_file()]


def _weights(run: Run, name: str) -> dict[str, Tensor]:
    return {key: w for key, w in _part(run, name, "state_dict").items() if isinstance(w, Tensor)}


def _part(run: Run, name: str, part: str) -> Mapping[str, Any]:
    """Returns a mapping in a checkpoint.

    Raises:
        InputError: the checkpoint does not have it.
    """
    file = run.checkpoints / f"{name}.ckpt"
    content = read_checkpoint(file).get(part)
    if not isinstance(content, Mapping):
        raise InputError(f"{file}: holds no {part}")
    return content


def _compare_weights(then: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> Weights:
    names = then.keys() | now.keys()
    differing, distance = 0, 0.0
    for name in names:
        if name not in then or name not in now or then[name].shape != now[name].shape:
            differing, distance = differing + 1, float("inf")
        elif not torch.equal(then[name], now[name]):
            differing += 1
            distance = max(distance, (then[name].double() - now[name].double()).abs().max().item())
    return Weights(len(names), differing, distance)


def _metrics(run: Run) -> Iterator[tuple[str, float | str]]:
    for name, value in run.metrics.items():
        if not name.startswith(TIMED):
            yield name, float(value)
    for row in run.epochs():
        for name, text in row.items():
            if name != "epoch" and not name.startswith(TIMED) and text:
                yield f"epoch {row['epoch']} {name}", float(text)


def _differing_settings(original: Run, repeated: Run) -> dict[str, tuple[Any, Any]]:
    configs = {"then": _trained_config(original), "now": _trained_config(repeated)}
    return {
        name: (values["then"], values["now"])
        for name, values in differing_settings(configs).items()
        if name not in IGNORED_SETTINGS
    }


def _trained_config(run: Run) -> dict[str, Any]:
    """Returns the config of a run, with values from its last checkpoint, or the one it has, if recorded there.

    Raises:
        InputError: a value in the checkpoint is not plain.
    """
    names = _checkpoints(run)
    if not names:
        return run.config
    name = names[-1]  # best, see keep=best
    recorded = _part(run, name, "hyper_parameters")
    found = {key: recorded.get(key, value) for key, value in run.config.items()}
    try:
        json.dumps(found)
    except (TypeError, ValueError) as error:
        file = run.checkpoints / f"{name}.ckpt"
        raise InputError(f"{file}: hyper_parameters: {one_line(error)}") from error
    return found


def _environment(run: Run) -> dict[str, Any]:
    return {
        name: value for name, value in run.environment.items() if name not in IGNORED_ENVIRONMENT
    }


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        name: (then.get(name), now.get(name))
        for name in dict.fromkeys([*then, *now])
        if not _is_same(then.get(name), now.get(name))
    }


def _is_same(then: Any, now: Any) -> bool:
    """Returns True if two values are equal or both NaN."""
    are_nan = then != then and now != now
    return are_nan or then == now


def write_reproduction(reproduction: Reproduction, output: Path) -> None:
    """Prints the differences and writes `reproduction.json` into the new run."""
    for title, differences in (
        ("settings", reproduction.settings),
        ("environment", reproduction.environment),
        ("metrics", reproduction.metrics),
    ):
        if differences:
            rows = [
                {title: name, "then": _text(then), "now": _text(now)}
                for name, (then, now) in list(differences.items())[:MOST_ROWS]
            ]
            print_rows(rows, f"{len(differences)} differences in {title}")
    weights: Mapping[str, Any] = {name: vars(found) for name, found in reproduction.weights.items()}
    facts = {
        f"{name}.ckpt": "equal"
        if not found.differing
        else f"{found.differing} of {found.tensors} tensors differ, by {found.distance:.3g} at most"
        for name, found in reproduction.weights.items()
    }
    record = {
        "is_exact": reproduction.is_exact,
        "weights": weights,
        "metrics": reproduction.metrics,
        "settings": reproduction.settings,
        "environment": reproduction.environment,
        "resumed_with": reproduction.resumed,
    }
    file = output / REPRODUCTION
    write_json(file, record)
    print_facts({**facts, "written": str(file)})


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.7g}" if isinstance(value, float) else str(value)

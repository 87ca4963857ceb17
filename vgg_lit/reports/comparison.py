"""Comparison of runs: differing settings, final metrics and learning curves.

comparison = Comparison(find_runs(["logs/sweeps/vgg13_bn_slim/2026-01-31_12-00-00_1f3a"]))
comparison.rows(sort="val/acc")     # each row maps columns to values
comparison.curves(["val/loss"])     # by metric and run: epochs and values
"""

import glob
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgg_lit.config.differences import differing_settings, named_settings, settings_by_run
from vgg_lit.config.network_checks import check_model
from vgg_lit.errors import InputError, NotTrusted, unknown
from vgg_lit.models.data_arguments import DataShape
from vgg_lit.reports.option_names import undetermined, with_option_names
from vgg_lit.run_selection import LATEST, newest_runs
from vgg_lit.runs import Run
from vgg_lit.sweeps import Sweep
from vgg_lit.system.files import expanded
from vgg_lit.system.log_folders import ATTEMPT
from vgg_lit.system.terminal import warn
from vgg_lit.tables import is_higher_better
from vgg_lit.targets import ALLOWED
from vgg_lit.value_types import as_written

if TYPE_CHECKING:
    from vgg_lit.analysis.curves import Curve

METRICS = ("val/acc", "val/loss", "test/acc", "test/loss")
CURVES = ("train/loss", "val/loss", "train/acc", "val/acc")
LONGEST_LABEL = 60

NEVER_ADVISED = {*sys.stdlib_module_names, *(name.partition(".")[0] for name in ALLOWED)}
"""Packages that no message proposes to trust: a config could name `os.system` or `torch.hub.load`."""


@dataclass(frozen=True)
class _Record:
    """The content of a run's files, with the number of parameters of its network."""

    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    epochs: Sequence[Mapping[str, str]]
    status: str | None
    parameters: int
    typed: Mapping[str, str]

    @classmethod
    def of(cls, run: Run) -> "_Record":
        config, status = run.config, run.status.get("status")
        typed = dict(line.partition("=")[::2] for line in run.overrides.lines)
        return cls(config, run.metrics, run.epochs(), status, _parameters(run, config), typed)


class Comparison:
    """Runs with their differing settings and final metrics.

    Args:
        runs: at least two readable runs; the others are left out.
        metrics: names of final metrics; None: those of `METRICS` that a run has.

    Attributes:
        runs: readable runs by name, their path below the common directory.
        differences: differing settings, by key and then by run; options of groups have their names.
        settings: all settings, by run and then by key.
        finals: final metrics by run.
        metrics: the names of the metrics in the columns.
        left_out: the reason for each run that cannot be read.

    Raises:
        InputError: fewer than two readable runs, or a metric that no run has.
    """

    def __init__(self, runs: Sequence[Run], metrics: Sequence[str] | None = None) -> None:
        self.left_out: list[str] = []
        self.runs: dict[str, Run] = {}
        self._records: dict[str, _Record] = {}
        untrusted: dict[str, str] = {}
        for name, run in zip(_names(runs), runs, strict=True):
            try:
                self._records[name] = _Record.of(run)
            except InputError as error:
                self.left_out.append(str(error))
                if isinstance(error.__cause__, NotTrusted):
                    target = error.__cause__.target
                    untrusted[target.partition(".")[0]] = target
            except OSError as error:  # a file that another user closed
                self.left_out.append(f"{run.path}: {error.strerror or error}")
            else:
                self.runs[name] = run
        if len(self._records) < 2:
            if untrusted and not untrusted.keys() & NEVER_ADVISED:
                raise InputError(
                    f"model._target_={next(iter(untrusted.values()))}: its package is not trusted; to "
                    f"compare its runs: trusted_targets=[{','.join(untrusted)}]"
                )
            reasons = "".join(f"; {reason}" for reason in self.left_out[:3])
            found = "".join(f": {run.path}" for run in self.runs.values())
            raise InputError(
                f"{len(self._records)} run found{found}; at least 2 are needed for a "
                f"comparison{reasons}"
            )
        records = self._records.items()
        configs = {name: record.config for name, record in records}
        self.settings = settings_by_run(configs)
        self.differences = with_option_names(
            differing_settings(configs), configs, {name: record.typed for name, record in records}
        )
        self.finals = {name: record.metrics for name, record in records}
        known = sorted({metric for found in self.finals.values() for metric in found})
        for metric in metrics or ():
            if metric not in known:
                raise unknown("metric", metric, known)
        self.metrics = list(metrics or [metric for metric in METRICS if metric in known])

    @property
    def columns(self) -> list[str]:
        """The columns of `rows`: run, differing settings, metrics, seconds, parameters and status."""
        return ["run", *self.differences, *self.metrics, "seconds", "parameters", "status"]

    def column(self, name: str) -> str:
        """Returns the column of a name: a column, or its section or last part if no other has the same.

        Raises:
            InputError: unknown column.
        """
        found = named_settings(name, self.columns)
        if name in found:
            return name
        if len(found) != 1:
            raise unknown("column", name, self.columns)
        return found[0]

    def rows(self, sort: str) -> list[dict[str, Any]]:
        """Returns one row per run, by column.

        Args:
            sort: column to sort by: metrics best first, settings and names in ascending order; runs
                without a value come last.

        Raises:
            InputError: unknown column.
        """
        sort = self.column(sort)
        rows = [self._row(name, record) for name, record in self._records.items()]
        descends = is_higher_better(sort)
        known = [
            row for row in rows if row[sort] is not None and row[sort] == row[sort]
        ]  # excludes NaN
        is_text = any(isinstance(row[sort], str) for row in known)
        known.sort(key=lambda row: str(row[sort]) if is_text else row[sort], reverse=descends)
        return known + [row for row in rows if row not in known]

    def _row(self, name: str, record: _Record) -> dict[str, Any]:
        values = [
            name,
            *(values[name] for values in self.differences.values()),
            *(record.metrics.get(metric) for metric in (*self.metrics, "seconds")),
            record.parameters,
            record.status,
        ]
        return dict(zip(self.columns, values, strict=True))

    def labels(self) -> dict[str, str]:
        """Returns a label per run: differing settings if all are short and unique, else the names."""
        keys = undetermined(self.differences, self.differences)
        texts = {
            name: "  ".join(
                f"{key.rpartition('.')[2]}={as_written(self.differences[key][name])}"
                for key in keys
            )
            for name in self.runs
        }
        is_good = len(set(texts.values())) == len(texts)
        is_good &= all(0 < len(text) <= LONGEST_LABEL for text in texts.values())
        return texts if is_good else {name: name for name in self.runs}

    def curves(self, metrics: Sequence[str] | None = None) -> dict[str, dict[str, "Curve"]]:
        """Returns epochs and values, by metric and then by label of the run.

        Raises:
            InputError: a metric that no run has.
        """
        labels = self.labels()
        by_run = self.curves_by_run(metrics).items()
        return {
            metric: {labels[name]: curve for name, curve in curves.items()}
            for metric, curves in by_run
        }

    def curves_by_run(self, metrics: Sequence[str] | None = None) -> dict[str, dict[str, "Curve"]]:
        """Returns epochs and values, by metric and then by name of the run.

        Args:
            metrics: names of epoch metrics; None: those of `CURVES` that a run has.

        Raises:
            InputError: a metric that no run has.
        """
        histories = {name: record.epochs for name, record in self._records.items()}
        known = sorted({key for history in histories.values() for row in history for key in row})
        for metric in metrics or ():
            if metric not in known:
                raise unknown("epoch metric", metric, known)
        return {
            metric: {
                name: _curve(history, metric)
                for name, history in histories.items()
                if any(row.get(metric) for row in history)
            }
            for metric in metrics or [metric for metric in CURVES if metric in known]
        }


def find_runs(places: Sequence[str]) -> list[Run]:
    """Returns the runs in sweeps, directories (recursively) and globs, without duplicates.

    Attempts that were set aside are left out, unless a path is one. `latest` is the sweep or study of the run
    that was started last, or that run if it is a single one.

    Raises:
        InputError: a path does not exist or contains no run.
    """
    found: dict[Path, Run] = {}
    for place in places:
        path = expanded(place)
        paths = [path]
        if not path.exists():
            matches = map(Path, sorted(glob.glob(str(path))))
            paths = [match for match in matches if not ATTEMPT.search(match.name)]
        if place == LATEST and not paths:
            paths = [newest_runs()]
        if not paths:
            raise InputError(f"runs={place}: no such directory, and no match as a glob")
        runs = [run for path in paths for run in _runs_in(path)]
        if not runs:
            raise InputError(f"runs={place}: contains no run (a directory with a config.yaml)")
        found |= {run.path.resolve(): run for run in runs}
    return list(found.values())


def _runs_in(path: Path) -> Iterator[Run]:
    if (path / "sweep.json").is_file():
        try:
            sweep = Sweep(path)
        except InputError as error:
            warn(f"{error}; all runs in {path} are compared")
            yield from _runs_below(path)
        else:
            yield from (run for job in sweep.jobs if (run := sweep.run(job)))
    elif (path / "config.yaml").is_file():
        yield Run(path)
    else:
        yield from _runs_below(path)


def _runs_below(path: Path) -> Iterator[Run]:
    for inside in sorted(path.iterdir()) if path.is_dir() else ():
        if not ATTEMPT.search(inside.name):
            try:
                yield from _runs_in(inside)
            except OSError as error:  # a folder that another user closed
                warn(f"{inside}: {error.strerror or error}; left out")


def _names(runs: Sequence[Run]) -> list[str]:
    """Returns the paths of runs relative to their common directory; whole ones on two drives of Windows."""
    paths = [run.path.resolve() for run in runs]
    try:
        common = os.path.commonpath(path.parent for path in paths)
    except ValueError:
        return [path.as_posix() for path in paths]
    return [path.relative_to(common).as_posix() for path in paths]


def _parameters(run: Run, config: Mapping[str, Any]) -> int:
    """Returns the number of parameters of a run's network.

    Raises:
        InputError: the config has no network that can be built.
    """
    model, data = config.get("model"), config.get("data")
    if not isinstance(model, Mapping) or not isinstance(data, Mapping):
        raise InputError(f"{run.config_file}: has no model, or no data")
    try:
        net = check_model(dict(model), DataShape.of(data))
    except InputError as error:
        raise InputError(f"{run.config_file}: {error}") from error
    return sum(parameter.numel() for parameter in net.parameters())


def _curve(history: Sequence[Mapping[str, str]], metric: str) -> "Curve":
    points = [(float(row["epoch"]), float(row[metric])) for row in history if row.get(metric)]
    return [epoch for epoch, _ in points], [value for _, value in points]

"""Comparison of runs: differing settings, final metrics and learning curves.

comparison = Comparison(find_runs(["logs/sweeps/vgg13_bn_slim/2026-01-31_12-00-00_1f3a"]))
comparison.rows(sort="val/acc")     # each row maps columns to values
comparison.curves(["val/loss"])     # by metric and run: epochs and values
"""

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgg_lit.config.differences import differing_settings
from vgg_lit.config.network_checks import check_model
from vgg_lit.errors import InputError, unknown
from vgg_lit.models.data_arguments import DataShape
from vgg_lit.runs import Run
from vgg_lit.sweeps import Sweep
from vgg_lit.tables import is_higher_better

if TYPE_CHECKING:
    from vgg_lit.analysis.curves import Curve

METRICS = ("val/acc", "val/loss", "test/acc", "test/loss")
CURVES = ("train/loss", "val/loss", "train/acc", "val/acc")
LONGEST_LABEL = 60


class Comparison:
    """Runs with their differing settings and final metrics.

    Args:
        runs: at least two runs.
        metrics: names of final metrics; None: those of `METRICS` that a run has.

    Attributes:
        runs: runs by name, their path below the common directory.
        differences: differing settings, by key and then by run.
        finals: final metrics by run.
        metrics: the names of the metrics in the columns.

    Raises:
        InputError: fewer than two runs, an unreadable run, or a metric that no run has.
    """

    def __init__(self, runs: Sequence[Run], metrics: Sequence[str] | None = None) -> None:
        if len(runs) < 2:
            raise InputError(f"{len(runs)} run found; at least 2 are needed for a comparison")
        self.runs = dict(zip(_names(runs), runs, strict=True))
        self.differences = differing_settings({name: run.config for name, run in self.runs.items()})
        self.finals = {name: run.metrics for name, run in self.runs.items()}
        known = sorted({metric for found in self.finals.values() for metric in found})
        for metric in metrics or ():
            if metric not in known:
                raise unknown("metric", metric, known)
        self.metrics = list(metrics or [metric for metric in METRICS if metric in known])

    @property
    def columns(self) -> list[str]:
        """The columns of `rows`: run, differing settings, metrics, seconds, parameters and status."""
        return ["run", *self.differences, *self.metrics, "seconds", "parameters", "status"]

    def rows(self, sort: str) -> list[dict[str, Any]]:
        """Returns one row per run, by column.

        Args:
            sort: column to sort by: metrics best first, settings and names in ascending order; runs
                without a value come last.

        Raises:
            InputError: unknown column.
        """
        if sort not in self.columns:
            raise unknown("column", sort, self.columns)
        rows = [self._row(name, run) for name, run in self.runs.items()]
        descends = is_higher_better(sort)
        known = [
            row for row in rows if row[sort] is not None and row[sort] == row[sort]
        ]  # excludes NaN
        is_text = any(isinstance(row[sort], str) for row in known)
        known.sort(key=lambda row: str(row[sort]) if is_text else row[sort], reverse=descends)
        return known + [row for row in rows if row not in known]

    def _row(self, name: str, run: Run) -> dict[str, Any]:
        final = self.finals[name]
        values = [
            name,
            *(values[name] for values in self.differences.values()),
            *(final.get(metric) for metric in (*self.metrics, "seconds")),
            _parameters(run),
            run.status.get("status"),
        ]
        return dict(zip(self.columns, values, strict=True))

    def labels(self) -> dict[str, str]:
        """Returns a label per run: differing settings if all are short and unique, else the names."""
        texts = {
            name: "  ".join(
                f"{key.rpartition('.')[2]}={values[name]}"
                for key, values in self.differences.items()
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
        histories = {name: run.epochs() for name, run in self.runs.items()}
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

    Raises:
        InputError: a path does not exist or contains no run.
    """
    found: dict[Path, Run] = {}
    for place in places:
        paths = [Path(path) for path in sorted(glob.glob(str(Path(place).expanduser())))]
        if not paths:
            raise InputError(f"runs={place}: no such directory, and no match as a glob")
        runs = [run for path in paths for run in _runs_in(path)]
        if not runs:
            raise InputError(f"runs={place}: contains no run (a directory with a config.yaml)")
        found |= {run.path.resolve(): run for run in runs}
    return list(found.values())


def _runs_in(path: Path) -> Iterator[Run]:
    if (path / "sweep.json").is_file():
        sweep = Sweep(path)
        yield from (run for job in sweep.jobs if (run := sweep.run(job)))
    elif (path / "config.yaml").is_file():
        yield Run(path)
    else:
        for inside in sorted(path.iterdir()) if path.is_dir() else ():
            yield from _runs_in(inside)


def _names(runs: Sequence[Run]) -> list[str]:
    """Returns the paths of runs relative to their common directory."""
    paths = [run.path.resolve() for run in runs]
    common = os.path.commonpath(path.parent for path in paths)
    return [path.relative_to(common).as_posix() for path in paths]


def _parameters(run: Run) -> int:
    config = run.config
    net = check_model(config["model"], DataShape.of(config["data"]))
    return sum(parameter.numel() for parameter in net.parameters())


def _curve(history: Sequence[Mapping[str, str]], metric: str) -> "Curve":
    points = [(float(row["epoch"]), float(row[metric])) for row in history if row.get(metric)]
    return [epoch for epoch, _ in points], [value for _, value in points]

"""Compares runs: metrics, statistics over seeds, learning curves.

python -m vgg_lit.compare runs=latest                          # the last sweep
python -m vgg_lit.compare runs=logs/sweeps/vgg13_bn_slim/2026-01-31_12-00-00_1f3a by=model
python -m vgg_lit.compare 'runs=[<run>,<run>]' sort=seconds output=two
"""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from vgg_lit.config.checks import check_section, to_plain
from vgg_lit.config.command import run_verb
from vgg_lit.config.schema import Compare
from vgg_lit.reports.comparison import Comparison, find_runs
from vgg_lit.reports.comparison_report import report_comparison
from vgg_lit.reports.groups import RunGroups
from vgg_lit.system.files import check_writable
from vgg_lit.system.terminal import warn
from vgg_lit.targets import trust


def compare(config: DictConfig) -> None:
    """Prints a table of runs or of groups of runs, and writes it with their learning curves.

    Raises:
        InputError: there are fewer than two runs, a run cannot be read, or there is no such column
            or metric.
    """
    settings = check_section(to_plain(config), Compare)
    trust(settings.trusted_targets)
    output = Path(settings.output)
    check_writable(output, f"output={output}")
    places = [settings.runs] if isinstance(settings.runs, str) else settings.runs
    by = [settings.by] if isinstance(settings.by, str) else settings.by
    comparison = Comparison(find_runs(places), settings.columns)
    for reason in comparison.left_out:
        warn(f"{reason}; this run is left out")
    sort = settings.sort or next(iter(comparison.metrics), "run")
    groups = RunGroups(comparison, by)
    report_comparison(comparison, groups, sort, settings.curves, output)


def _renamed(arguments: Sequence[str]) -> list[str]:
    """Replaces `metrics=` by `columns=`, its name since `metrics` is a group of the train config."""
    return [
        f"columns={argument.partition('=')[2]}" if argument.startswith("metrics=") else argument
        for argument in arguments
    ]


def main() -> None:
    """Runs the console script `vgg-compare`."""
    run_verb(compare, "compare", _renamed)


if __name__ == "__main__":
    main()

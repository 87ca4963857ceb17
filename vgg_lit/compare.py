"""Compares runs: metrics, statistics over seeds, learning curves.

python -m vgg_lit.compare runs=latest                          # the last sweep
python -m vgg_lit.compare runs=logs/sweeps/vgg13_bn_slim/2026-01-31_12-00-00_1f3a by=model
python -m vgg_lit.compare 'runs=[<run>,<run>]' sort=seconds output=two

In Python, this module is also a function: vgg_lit.compare("logs/runs", by="model") returns the tables.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from vgg_lit.callable_commands import CallableModule
from vgg_lit.config.checks import check_section, to_plain
from vgg_lit.config.command import run_verb
from vgg_lit.config.schema import Compare
from vgg_lit.reports.comparison_report import ComparisonReport, report_on
from vgg_lit.system.files import ABANDONED, remove_unfinished
from vgg_lit.tables import print_facts

sys.modules[__name__].__class__ = CallableModule


def compare(config: DictConfig) -> None:
    """Prints a table of runs or of groups of runs, and writes it with their learning curves.

    Raises:
        InputError: there are fewer than two runs, a run cannot be read, or there is no such column
            or metric.
    """
    settings = check_section(to_plain(config), Compare)
    output = Path(settings.output)
    ComparisonReport.check_output(output)
    remove_unfinished(output, ABANDONED)
    report = report_on(settings)
    report.print()
    print_facts({"written": f"{output}: {', '.join(report.write(output))}"})


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

"""Prints the tables of a comparison and writes them as CSV, Markdown, LaTeX and HTML.

report = report_on(Compare(runs="logs/runs"))
report.print()
report.write("comparison")
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len

from vgg_lit.config.schema import Compare
from vgg_lit.errors import InputError
from vgg_lit.reports.comparison import LONGEST_LABEL, Comparison, find_runs
from vgg_lit.reports.comparison_page import comparison_page, html_table
from vgg_lit.reports.comparison_tables import (
    ComparisonTable,
    difference_table,
    group_table,
    run_table,
)
from vgg_lit.reports.groups import RunGroups
from vgg_lit.reports.latex import paper_table
from vgg_lit.reports.prediction_tables import prediction_table, untested_pairs
from vgg_lit.system.files import check_names, check_writable, write_text
from vgg_lit.system.markdown import markdown_text
from vgg_lit.system.notebook import show_figures
from vgg_lit.system.overrides import pasteable
from vgg_lit.system.terminal import visible, warn
from vgg_lit.tables import fitted_rows, markdown_table, print_rows, print_sentence, to_csv
from vgg_lit.targets import trust

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNS, GROUPS, DIFFERENCES, PREDICTIONS = (
    "comparison.csv",
    "groups.csv",
    "differences.csv",
    "mcnemar.csv",
)
"""The CSV files of the tables."""

CURVES = "curves.png"

PAGES = ("comparison.md", "comparison.tex", "comparison.html")
"""The files with all tables."""

LABELS = ("group", "other group", "second")
"""The columns of tables that are labels of groups."""


class ComparisonReport:
    """The tables and the learning curves of runs, to print, to write and to show in a notebook.

    If no setting is repeated, the runs are printed, else the groups.

    Args:
        comparison: the runs.
        groups: the same runs in groups.
        sort: column to sort by.
        curves: metrics to draw; None: the losses and accuracies.

    Attributes:
        tables: the tables by their CSV files.
        latex: the table of a paper.

    Raises:
        InputError: there is no such column or metric, the groups have no such column, or a file of
            predictions cannot be read.
    """

    def __init__(
        self,
        comparison: Comparison,
        groups: RunGroups,
        sort: str,
        curves: Sequence[str] | None = None,
    ) -> None:
        sort = comparison.column(sort)
        runs = run_table(comparison, sort)
        found = _group_tables(groups, sort)
        self._has_groups = GROUPS in found
        self._groups, self._sort = groups, sort
        self._printed = [*found.values()] if self._has_groups else [runs, *found.values()]
        self._lines = groups.curves(curves) if self._has_groups else comparison.curves(curves)
        self._untested = untested_pairs(groups, sort)
        self.title = runs.title
        self.tables = {**found, RUNS: runs}
        self.latex = paper_table(groups, sort)

    @property
    def figure(self) -> "Figure | None":
        """The learning curves; None if no run has completed an epoch."""
        if not any(self._lines.values()):
            return None
        from vgg_lit.analysis.curves import learning_curves

        show_figures()
        return learning_curves(self._lines)

    def print(self) -> None:
        """Prints the tables, at most as wide as the terminal.

        If a label does not fit, all groups have numbers, and their labels are below the first table of groups.
        """
        if any(map(_cuts_labels, self._printed)):
            numbered = self._groups.numbered(self._sort)
            tables = [*_group_tables(numbered, self._sort).values()]
            legend = [
                f"{short.label}: {group.label}"
                for short, group in zip(
                    numbered.ordered(self._sort), self._groups.ordered(self._sort), strict=True
                )
            ]
            if not self._has_groups:
                _print(self._printed[0])
            for table, lines in zip(tables, [legend, *([] for _ in tables)], strict=False):
                _print(table, lines)
        else:
            for table in self._printed:
                _print(table)
        if lacking := self._untested.lacking:
            have, those = "1 run has", "them"
            if len(lacking) > 1:
                have, those = f"{len(lacking)} runs have", "those of the first"
            print_sentence(
                f"{have} no predictions for McNemar's test; this command writes {those}:"
            )
            print(visible(pasteable("evaluate", lacking[0].selection)))
        if lost := self._untested.lost:
            print_sentence(
                "No McNemar's test, because the checkpoint of the final metrics was removed: "
                f"{visible(', '.join(lost))}."
            )
        for first, second in self._untested.unlike:
            print_sentence(
                f"No McNemar's test: the predictions of {visible(first)} and {visible(second)} are of "
                "different images."
            )

    @staticmethod
    def check_output(folder: Path) -> None:
        """Checks the folder that a comparison will be written to, without creating it.

        Raises:
            InputError: the folder cannot be created or written, or has a folder with the name of a file.
        """
        check_writable(folder, f"output={folder}")
        check_names(folder, (RUNS, GROUPS, DIFFERENCES, PREDICTIONS, CURVES, *PAGES))

    def write(self, output: str | os.PathLike[str]) -> list[str]:
        """Writes the tables and the learning curves to a folder; returns the names of the files.

        Files of an earlier comparison that are not written again are removed.

        Raises:
            InputError: the folder cannot be made or written, or has a folder with the name of a file.
        """
        folder = Path(output)
        self.check_output(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"output={folder}: cannot be made: {error.strerror}") from error
        files = {name: to_csv(table.records) for name, table in self.tables.items()}
        files["comparison.md"] = "\n".join(
            f"{'#' * (1 + bool(number))} {markdown_text(table.title)}\n\n{_markdown(table)}"
            for number, table in enumerate(self.tables.values())
        )
        files["comparison.tex"] = self.latex
        png = None
        if figure := self.figure:
            from vgg_lit.analysis.style import save_figure

            save_figure(figure, folder / CURVES)
            png = (folder / CURVES).read_bytes()
        files["comparison.html"] = comparison_page(self.title, list(self.tables.values()), png)
        for name, content in files.items():
            write_text(folder / name, content)
        written = sorted([*files, *([CURVES] if png else [])])
        for name in {GROUPS, DIFFERENCES, PREDICTIONS, CURVES}.difference(written):
            (folder / name).unlink(missing_ok=True)
        return written

    def __repr__(self) -> str:
        return f"ComparisonReport({self.title!r})"

    def _repr_html_(self) -> str:
        """Returns the printed tables for a notebook."""
        return "\n".join(map(html_table, self._printed))


def report_on(settings: Compare) -> ComparisonReport:
    """Returns the report that the settings of `vgg_lit.compare` ask for; warns of unreadable runs.

    Raises:
        InputError: there are fewer than two runs, or no such column or metric.
    """
    trust(settings.trusted_targets)
    places = [settings.runs] if isinstance(settings.runs, str) else settings.runs
    by = [settings.by] if isinstance(settings.by, str) else settings.by
    if not places:
        raise InputError("runs=[]: name at least one run, sweep or folder")
    if by is not None and not by:
        raise InputError("by=[]: name at least one setting")
    comparison = Comparison(find_runs(places), settings.columns)
    for reason in comparison.left_out:
        warn(f"{reason}; this run is left out")
    sort = settings.sort or next(iter(comparison.metrics), "run")
    return ComparisonReport(comparison, RunGroups(comparison, by), sort, settings.curves)


def _group_tables(groups: RunGroups, sort: str) -> dict[str, ComparisonTable]:
    """Returns the tables of groups by their files, those with rows alone."""
    found: dict[str, ComparisonTable | None] = {}
    if groups.has_repetitions and groups.is_measured:
        groups.check_order(sort)
        found[GROUPS] = group_table(groups, sort)
        found[DIFFERENCES] = difference_table(groups, sort)
    found[PREDICTIONS] = prediction_table(groups, sort)
    return {name: table for name, table in found.items() if table}


def _cuts_labels(table: ComparisonTable) -> bool:
    """Returns True if a label of a group is too long for a printed table."""
    shown, _ = fitted_rows(table.texts)
    return any(
        column in LABELS and (cell_len(text) > LONGEST_LABEL or row.get(column) != visible(text))
        for full, row in zip(table.texts, shown, strict=True)
        for column, text in full.items()
    )


def _print(table: ComparisonTable, legend: Sequence[str] = ()) -> None:
    texts = []
    for number, row in enumerate(table.texts):
        first = next(iter(row))
        is_repeated = number and number - 1 not in table.ends_section and table.ends_section
        texts.append({**row, first: ""} if is_repeated else row)
    print_rows(texts, table.title, table.ends_section)
    for remark in [*legend, *table.remarks]:
        print_sentence(visible(remark))


def _markdown(table: ComparisonTable) -> str:
    remarks = "".join(f"\n{markdown_text(remark)}\n" for remark in table.remarks)
    return f"{markdown_table(table.texts)}{remarks}"

"""Prints the tables of a comparison and writes them as CSV, Markdown, LaTeX and HTML.

report_comparison(comparison, groups, sort="val/acc", curves=None, output=Path("comparison"))
"""

from collections.abc import Sequence
from pathlib import Path

from vgg_lit.config.overrides import pasteable
from vgg_lit.reports.comparison import Comparison
from vgg_lit.reports.comparison_page import comparison_page
from vgg_lit.reports.comparison_tables import (
    ComparisonTable,
    difference_table,
    format_deviation,
    format_mean,
    group_table,
    prediction_table,
    run_table,
)
from vgg_lit.reports.fitted_table import print_fitted
from vgg_lit.reports.groups import RunGroups
from vgg_lit.reports.latex import escape_latex, latex_table
from vgg_lit.reports.prediction_tests import has_predictions
from vgg_lit.system.files import write_text
from vgg_lit.system.markdown import markdown_text
from vgg_lit.system.terminal import visible
from vgg_lit.tables import is_accuracy, is_higher_better, markdown_table, print_facts, to_csv

RUNS, GROUPS, DIFFERENCES, PREDICTIONS = (
    "comparison.csv",
    "groups.csv",
    "differences.csv",
    "mcnemar.csv",
)
"""The CSV files of the tables."""

CURVES = "curves.png"


def report_comparison(
    comparison: Comparison,
    groups: RunGroups,
    sort: str,
    curves: Sequence[str] | None,
    output: Path,
) -> None:
    """Prints the tables; writes them and the learning curves to a folder.

    If no setting is repeated, the runs are printed, else the groups. Files of an earlier comparison that
    are not written again are removed.

    Args:
        comparison: the runs.
        groups: the same runs in groups.
        sort: column to sort by.
        curves: metrics to draw; None: the losses and accuracies.
        output: folder to write to.

    Raises:
        InputError: there is no such column or metric, or a file of predictions cannot be read.
    """
    runs = run_table(comparison, sort)
    tables = _group_tables(groups, sort)
    lines = groups.curves(curves) if GROUPS in tables else comparison.curves(curves)
    printed = {**tables} if GROUPS in tables else {RUNS: runs, **tables}
    for table in printed.values():
        _print(table)
    if len(groups.groups) > 1 and PREDICTIONS not in tables:
        _print_hint(comparison)

    tables[RUNS] = runs
    files = {name: to_csv(table.records) for name, table in tables.items()}
    files["comparison.md"] = "\n".join(
        f"{'#' * (1 + bool(number))} {markdown_text(table.title)}\n\n{_markdown(table)}"
        for number, table in enumerate(tables.values())
    )
    files["comparison.tex"] = _latex(groups, sort)
    picture = None
    if any(lines.values()):  # empty if no run has completed an epoch
        from vgg_lit.analysis.curves import learning_curves
        from vgg_lit.analysis.style import save_figure

        note = "line: mean, band: ± 1 standard deviation" if GROUPS in tables else ""
        picture = output / CURVES
        save_figure(learning_curves(lines, note=note), picture)
    png = picture.read_bytes() if picture else None
    files["comparison.html"] = comparison_page(runs.title, list(tables.values()), png)
    for name, content in files.items():
        write_text(output / name, content)
    written = sorted([*files, *([CURVES] if picture else [])])
    for name in {GROUPS, DIFFERENCES, PREDICTIONS, CURVES}.difference(written):
        (output / name).unlink(missing_ok=True)
    print_facts({"written": f"{output}: {', '.join(written)}"})


def _group_tables(groups: RunGroups, sort: str) -> dict[str, ComparisonTable]:
    """Returns the tables of groups by their files, those with rows alone."""
    found: dict[str, ComparisonTable | None] = {}
    if groups.has_repetitions and (table := group_table(groups, sort)).texts:
        found[GROUPS] = table
        found[DIFFERENCES] = difference_table(groups, sort)
    found[PREDICTIONS] = prediction_table(groups, sort)
    return {name: table for name, table in found.items() if table}


def _print(table: ComparisonTable) -> None:
    texts = []
    for number, row in enumerate(table.texts):
        first = next(iter(row))
        is_repeated = number and number - 1 not in table.ends_section and table.ends_section
        texts.append({**row, first: ""} if is_repeated else row)
    left_out = print_fitted(texts, table.title, table.ends_section)
    for remark in table.remarks:
        print(remark)
    if left_out:
        print(f"Not shown, for want of space: {', '.join(left_out)}.")


def _print_hint(comparison: Comparison) -> None:
    lacking = [run for run in comparison.runs.values() if not has_predictions(run)]
    if lacking:
        print(f"McNemar's test needs the predictions of {len(lacking)} more runs, such as:")
        print(visible(pasteable("evaluate", lacking[0].selection)))


def _markdown(table: ComparisonTable) -> str:
    remarks = "".join(f"\n{markdown_text(remark)}\n" for remark in table.remarks)
    return f"{markdown_table(table.texts)}{remarks}"


def _latex(groups: RunGroups, sort: str) -> str:
    """Returns the groups as rows and the metrics as columns; the best mean of each is bold."""
    metrics = groups.comparison.metrics
    ordered = groups.ordered(sort)
    summaries = {
        (group.label, metric): groups.summary(group, metric)
        for group in ordered
        for metric in metrics
    }
    counts = sorted({len(group.members) for group in ordered})
    names = groups.names or ["group"]
    lines = []
    for group in ordered:
        cells = [escape_latex(str(value)) for value in group.settings.values()] or [group.label]
        if len(counts) > 1:
            cells.append(str(len(group.members)))
        for metric in metrics:
            summary = summaries[group.label, metric]
            means = [s.mean for s in (summaries[g.label, metric] for g in ordered) if s]
            best = (max if is_higher_better(metric) else min)(means, default=None)
            if summary is None:
                cells.append("--")
                continue
            number = format_mean(metric, summary.mean, summary.deviation)
            if summary.mean == best and len(ordered) > 1:
                number = rf"\mathbf{{{number}}}"
            if summary.deviation is not None:
                number += rf" \pm {format_deviation(metric, summary.deviation)}"
            cells.append(f"${number}$")
        lines.append(cells)
    head = [escape_latex(name) for name in names] + ["$n$"] * (len(counts) > 1)
    head += [escape_latex(metric) + (r" (\%)" if is_accuracy(metric) else "") for metric in metrics]
    what = "Final metrics of the runs."
    if groups.has_repetitions:
        over = (
            f"{counts[0]} {groups.repetitions}" if len(counts) == 1 else f"$n$ {groups.repetitions}"
        )
        what = f"Mean and standard deviation over {over}."
    bold = " The best of each metric is bold." if len(ordered) > 1 else ""
    return latex_table(head, lines, what + bold, text_columns=len(names))

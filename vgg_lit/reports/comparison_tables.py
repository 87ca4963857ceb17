"""The tables of a comparison: runs, groups of runs, and the tests between groups.

run_table(comparison, "val/acc").texts      # rows to print
group_table(groups, "val/acc").records      # rows for a CSV file
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vgg_lit.reports.comparison import Comparison
from vgg_lit.reports.groups import Group, RunGroups
from vgg_lit.reports.number_texts import (
    deviation_text,
    difference_text,
    format_p,
    interval_text,
    mean_text,
)
from vgg_lit.reports.prediction_tests import compare_predictions, has_predictions
from vgg_lit.runs import Run
from vgg_lit.tables import format_metric
from vgg_lit.value_types import as_written

Record = Mapping[str, Any]


@dataclass(frozen=True)
class ComparisonTable:
    """A table of a comparison.

    Attributes:
        title: title of the table.
        texts: cells by column, formatted.
        values: the same cells as numbers and names, to sort by.
        records: rows for a CSV file, with full precision.
        remarks: sentences below the table.
        ends_section: indices of the rows with a line below.
    """

    title: str
    texts: Sequence[Mapping[str, str]]
    values: Sequence[Record]
    records: Sequence[Record]
    remarks: Sequence[str] = ()
    ends_section: Sequence[int] = field(default=())


def run_table(comparison: Comparison, sort: str) -> ComparisonTable:
    """Returns a row for each run, the best first; other columns than metrics with one value are a remark.

    The records have all columns.

    Raises:
        InputError: unknown column.
    """
    rows = comparison.rows(sort)
    texts = [{column: _text(column, value) for column, value in row.items()} for row in rows]
    constant = [
        column
        for column in texts[0]
        if column not in ("run", sort, *comparison.metrics)
        and len({text[column] for text in texts}) == 1
    ]
    facts = [f"{column} {texts[0][column]}" for column in constant if texts[0][column]]
    shown = [column for column in texts[0] if column not in constant]
    return ComparisonTable(
        f"{len(rows)} runs by {sort}",
        [{column: text[column] for column in shown} for text in texts],
        [{column: row[column] for column in shown} for row in rows],
        rows,
        [f"The same in all runs: {', '.join(facts)}."] if facts else [],
    )


def group_table(groups: RunGroups, sort: str) -> ComparisonTable:
    """Returns a row for each group and metric: n, mean, standard deviation and 95 % interval."""
    texts: list[dict[str, str]] = []
    values, records = [], []
    ends = []
    for group in groups.ordered(sort):
        for metric in groups.comparison.metrics:
            summary = groups.summary(group, metric)
            if summary is None:
                continue
            low, high = summary.interval or (None, None)
            row: dict[str, Any] = {"group": group.label, "metric": metric, "n": summary.n}
            texts.append(
                {key: str(value) for key, value in row.items()}
                | {
                    "mean": mean_text(metric, summary),
                    "std": deviation_text(metric, summary.deviation),
                    "95 % interval": interval_text(metric, summary, " %"),
                }
            )
            numbers = {"mean": summary.mean, "std": summary.deviation}
            values.append(row | numbers | {"95 % interval": summary.half_width})
            records.append(
                {"group": group.label, **group.settings, "metric": metric, "n": summary.n}
                | numbers
                | {"low": low, "high": high}
            )
        ends.append(len(texts) - 1)
    counts = {n for group in groups.groups for n in groups.sizes(group)}
    count = f"{min(counts)} " if len(counts) == 1 else ""
    order = f"by {sort}" if sort in groups.by else f"the best {sort} first"
    title = f"Mean over {count}{groups.repetitions}, {order}"
    return ComparisonTable(title, texts, values, records, _remarks(groups), ends)


def difference_table(groups: RunGroups, sort: str) -> ComparisonTable | None:
    """Returns the paired tests of the best group with each other; None if there is none."""
    best, *others = groups.ordered(sort)
    texts: list[dict[str, str]] = []
    values, records = [], []
    row: dict[str, Any]
    remarks: dict[str, None] = {}
    for other in others:
        for metric in groups.comparison.metrics:
            found = groups.difference(best, other, metric)
            if found is None:
                has_pairs = bool(groups.common(best, other))
                what = f"values of {metric}" if has_pairs else groups.repetitions
                remarks[f"{other.label} has no {what} in common with {best.label}"] = None
                continue
            low, high = found.difference.interval or (None, None)
            if found.remark:
                whose = f": {other.label}" if found.p_value is None and len(others) > 1 else ""
                remarks[found.remark + whose] = None
            row = {} if len(others) == 1 else {"other group": other.label}
            row |= {"metric": metric, "n": found.difference.n}
            texts.append(
                {key: str(value) for key, value in row.items()}
                | {
                    "difference": difference_text(metric, found.difference),
                    "95 % interval": interval_text(
                        metric, found.difference, ""
                    ),  # unit: as before it
                    "p": format_p(found.p_value),
                }
            )
            mean, p_value = found.difference.mean, found.p_value
            width = found.difference.half_width
            values.append(row | {"difference": mean, "95 % interval": width, "p": p_value})
            records.append(
                {"first": best.label, "second": other.label, "metric": metric, "n": row["n"]}
                | {"difference": mean, "low": low, "high": high, "p": p_value}
                | {"remark": found.remark}
            )
    if not texts:
        return None
    if len(others) > 1:
        remarks[f"The p-values are not corrected for {len(others)} comparisons"] = None
    other_label = others[0].label if len(others) == 1 else "the other group"
    title = f"{best.label} minus {other_label}: paired t-test over common {groups.repetitions}"
    sentences = [f"{remark}." for remark in remarks]
    return ComparisonTable(title, texts, values, records, sentences)


def prediction_table(groups: RunGroups, sort: str) -> ComparisonTable | None:
    """Returns McNemar's tests of the best group's runs with their pairs; None without predictions."""
    best, *others = groups.ordered(sort)
    rows: list[dict[str, Any]] = []
    records = []
    pairs = [(other, *pair) for other in others for pair in _pairs(groups, best, other)]
    has_labels = any(label for *_, label in pairs)
    for other, first, second, label in pairs:
        runs = groups.comparison.runs
        test = compare_predictions(runs[first], runs[second])
        if test is None:
            continue
        counts = {"only first": test.only_first, "only second": test.only_second}
        rows.append(
            ({} if len(others) == 1 else {"second": other.label})
            | ({"pair": label} if has_labels else {})
            | {"images": test.images, **counts, "p": test.p_value}
        )
        records.append(
            {"first": first, "second": second, "split": test.split, "images": test.images}
            | {name.replace(" ", "_"): count for name, count in counts.items()}
            | {"p": test.p_value}
        )
    if not rows:
        return None
    texts = [
        {key: f"{value}" for key, value in row.items()} | {"p": format_p(row["p"])} for row in rows
    ]
    title = f"McNemar's exact test; first: {best.label}"
    if len(others) == 1:
        title += f", second: {others[0].label}"
    remarks = ["Number of images that only the first or only the second run gets right."]
    if len(rows) > 1:
        remarks.append(f"The p-values are not corrected for {len(rows)} comparisons.")
    return ComparisonTable(title, texts, rows, records, remarks)


def untested_pairs(groups: RunGroups, sort: str) -> tuple[list[Run], list[tuple[str, str]]]:
    """Returns the finished runs that lack predictions for McNemar's test, and the pairs of different images."""
    best, *others = groups.ordered(sort)
    runs, finals = groups.comparison.runs, groups.comparison.finals
    lacking: set[str] = set()
    unlike = []
    for first, second, _ in (pair for other in others for pair in _pairs(groups, best, other)):
        if not (finals[first] and finals[second]):
            continue
        without = [name for name in (first, second) if not has_predictions(runs[name])]
        lacking.update(without)
        if not without and compare_predictions(runs[first], runs[second]) is None:
            unlike.append((first, second))
    return [run for name, run in runs.items() if name in lacking], unlike


def _pairs(groups: RunGroups, best: Group, other: Group) -> list[tuple[str, str, str]]:
    """Returns the names of paired runs and what they have in common; single runs are always a pair."""
    keys = groups.common(best, other)
    if keys:
        return [(best.members[key], other.members[key], groups.key_text(key)) for key in keys]
    if len(best.members) == len(other.members) == 1:
        (ours,), (others,) = best.members.values(), other.members.values()
        return [(ours, others, "")]
    return []


def _remarks(groups: RunGroups) -> list[str]:
    found = []
    settings = [key for key in groups.paired if key not in ("seed", "data.seed", "data.fold")]
    if settings:
        found.append(f"The runs of a group also differ in {', '.join(settings)}.")
    if "data.fold" in groups.varying:
        found.append(
            "Folds share training images, so the intervals are too narrow and the p-values too small."
        )
    finals = groups.comparison.finals
    missing = [name for name, metrics in finals.items() if not metrics]
    if missing:
        found.append(f"Without final metrics and left out: {', '.join(missing)}.")
    if groups.repeated:
        found.append(
            "Left out, because a finished or later run has the same settings: "
            f"{', '.join(groups.repeated)}."
        )
    return found


def _text(column: str, value: Any) -> str:
    if value is None:
        return ""
    if column == "parameters":
        return f"{value:,}"
    return (
        format_metric(column, value) if "/" in column or column == "seconds" else as_written(value)
    )

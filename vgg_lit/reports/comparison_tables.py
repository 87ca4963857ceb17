"""The tables of a comparison: runs, groups of runs, and the tests between groups.

run_table(comparison, "val/acc").texts      # rows to print
group_table(groups, "val/acc").records      # rows for a CSV file
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vgg_lit.reports.comparison import Comparison
from vgg_lit.reports.groups import RunGroups
from vgg_lit.reports.number_texts import (
    deviation_text,
    difference_text,
    format_p,
    interval_text,
    mean_text,
)
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
    """Returns a row for each group and metric: n, mean, standard deviation and 95 % interval.

    A group without finite values of a metric has n=0. Groups without a pair for the t-test are remarks.
    """
    texts: list[dict[str, str]] = []
    values, records = [], []
    ends = []
    for group in groups.ordered(sort):
        for metric in groups.comparison.metrics:
            found = groups.summary(group, metric)
            low, high = (found and found.interval) or (None, None)
            count = found.n if found else 0
            row: dict[str, Any] = {"group": group.label, "metric": metric, "n": count}
            texts.append(
                {key: str(value) for key, value in row.items()}
                | {
                    "mean": mean_text(metric, found) if found else "",
                    "std": deviation_text(metric, found.deviation) if found else "",
                    "95 % interval": interval_text(metric, found, " %") if found else "",
                }
            )
            numbers = {
                "mean": found.mean if found else None,
                "std": found.deviation if found else None,
            }
            values.append(row | numbers | {"95 % interval": found.half_width if found else None})
            records.append(
                {"group": group.label, **group.settings, "metric": metric, "n": count}
                | numbers
                | {"low": low, "high": high}
            )
        ends.append(len(texts) - 1)
    counts = {row["n"] for row in values}
    number = f"{min(counts)} " if len(counts) == 1 else ""
    order = f"the best {sort} first" if groups.has_means(sort) else f"by {sort}"
    title = f"Mean over {number}{groups.repetitions}, {order}"
    remarks = _remarks(groups)
    if difference_table(groups, sort) is None:
        remarks += _missing_pairs(groups, sort)
    return ComparisonTable(title, texts, values, records, remarks, ends)


def difference_table(groups: RunGroups, sort: str) -> ComparisonTable | None:
    """Returns the paired tests of one group with each other one, see `compared`; None if there is none."""
    first, others = groups.compared(sort)
    texts: list[dict[str, str]] = []
    values, records = [], []
    row: dict[str, Any]
    for other in others:
        for metric in groups.comparison.metrics:
            found = groups.difference(first, other, metric)
            if found is None:
                continue
            low, high = found.difference.interval or (None, None)
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
                {"first": first.label, "second": other.label, "metric": metric, "n": row["n"]}
                | {"difference": mean, "low": low, "high": high, "p": p_value}
                | {"remark": found.remark}
            )
    if not texts:
        return None
    remarks = [*_missing_pairs(groups, sort), *_remarks_on_tests(records, len(others) == 1)]
    tested = {record["second"] for record in records if record["p"] is not None}
    if len(tested) > 1:
        remarks.append(f"The p-values are not corrected for {len(tested)} comparisons.")
    other_label = others[0].label if len(others) == 1 else "each other group"
    title = f"{first.label} minus {other_label}: paired t-test over common {groups.repetitions}"
    return ComparisonTable(title, texts, values, records, remarks)


def _missing_pairs(groups: RunGroups, sort: str) -> list[str]:
    """Returns sentences on the groups that have no pair with the first of `compared`, in a metric or at all."""
    first, others = groups.compared(sort)
    found: dict[str, None] = {}
    for other in others:
        for metric in groups.comparison.metrics:
            if groups.difference(first, other, metric) is None:
                has_pairs = bool(groups.common(first, other))
                what = f"values of {metric}" if has_pairs else groups.repetitions
                found[f"{other.label} has no {what} in common with {first.label}."] = None
    return [*found]


def _remarks_on_tests(records: Sequence[Record], is_one_group: bool) -> Iterator[str]:
    """Yields the remarks on tests, with the groups and metrics of those that are not true of all tests."""
    for remark in dict.fromkeys(record["remark"] for record in records if record["remark"]):
        concerned = [record for record in records if record["remark"] == remark]
        metrics: dict[str, list[str]] = {}
        for record in concerned:
            metrics.setdefault(record["second"], []).append(record["metric"])
        if len(concerned) == len(records):
            yield f"{remark}."
        elif is_one_group:
            yield f"{remark}: {', '.join(*metrics.values())}."
        else:
            whose = (f"{label} ({', '.join(names)})" for label, names in metrics.items())
            yield f"{remark}: {'; '.join(whose)}."


def _remarks(groups: RunGroups) -> list[str]:
    found = [groups.usual_settings] if groups.usual else []
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
    not_finite = {metric: groups.not_finite(metric) for metric in groups.comparison.metrics}
    if any(not_finite.values()):
        texts = [f"{metric} of {', '.join(names)}" for metric, names in not_finite.items() if names]
        found.append(f"Not finite and left out: {'; '.join(texts)}.")
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

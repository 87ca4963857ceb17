"""The table of McNemar's tests between groups of runs, and the pairs that have no test.

prediction_table(groups, "val/acc").texts       # rows to print
untested_pairs(groups, "val/acc").lacking       # runs to evaluate first
"""

from itertools import chain
from typing import Any, NamedTuple

from vgg_lit.checkpoints.folder import epoch_without_checkpoint
from vgg_lit.reports.comparison_tables import ComparisonTable
from vgg_lit.reports.groups import Group, RunGroups
from vgg_lit.reports.number_texts import format_p
from vgg_lit.reports.prediction_tests import SPLITS, compare_predictions, predicted_splits
from vgg_lit.runs import Run


def prediction_table(groups: RunGroups, sort: str) -> ComparisonTable | None:
    """Returns McNemar's tests of the runs of one group with their pairs, see `compared`; None without predictions."""
    reference, others = groups.compared(sort)
    rows: list[dict[str, Any]] = []
    records = []
    pairs = [(other, *pair) for other in others for pair in _pairs(groups, reference, other)]
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
    title = f"McNemar's exact test; first: {reference.label}"
    if len(others) == 1:
        title += f", second: {others[0].label}"
    remarks = ["Number of images that only the first or only the second run gets right."]
    if len(rows) > 1:
        remarks.append(f"The p-values are not corrected for {len(rows)} comparisons.")
    return ComparisonTable(title, texts, rows, records, remarks)


class Untested(NamedTuple):
    """Finished runs and pairs of runs without McNemar's test.

    Attributes:
        lacking: runs whose predictions are not written yet, and whose partner is not lost.
        lost: names of runs that no longer have the checkpoint of their final metrics.
        unlike: pairs of runs with predictions of different images.
    """

    lacking: list[Run]
    lost: list[str]
    unlike: list[tuple[str, str]]


def untested_pairs(groups: RunGroups, sort: str) -> Untested:
    """Returns the finished runs and pairs that McNemar's test is missing for, with the reasons."""
    reference, others = groups.compared(sort)
    runs, finals = groups.comparison.runs, groups.comparison.finals
    lacking: set[str] = set()
    lost: set[str] = set()
    unlike = []
    for first, second, _ in (pair for other in others for pair in _pairs(groups, reference, other)):
        if not (finals[first] and finals[second]):
            continue
        present = {name: predicted_splits(runs[name]) for name in (first, second)}
        has_common = bool(set(present[first]) & set(present[second]))
        if has_common and compare_predictions(runs[first], runs[second]):
            continue
        wanted = next((split for split in SPLITS if split in [*chain(*present.values())]), None)
        without = [name for name, splits in present.items() if wanted not in splits]
        gone = [name for name in without if epoch_without_checkpoint(runs[name].path)]
        lost.update(gone)
        lacking.update([] if gone else without)
        if not without:
            unlike.append((first, second))
    return Untested(
        [run for name, run in runs.items() if name in lacking],
        [name for name in runs if name in lost],
        unlike,
    )


def _pairs(groups: RunGroups, reference: Group, other: Group) -> list[tuple[str, str, str]]:
    """Returns the names of paired runs and what they have in common; single runs are always a pair."""
    keys = groups.common(reference, other)
    if keys:
        return [(reference.members[key], other.members[key], groups.key_text(key)) for key in keys]
    if len(reference.members) == len(other.members) == 1:
        (ours,), (others,) = reference.members.values(), other.members.values()
        return [(ours, others, "")]
    return []

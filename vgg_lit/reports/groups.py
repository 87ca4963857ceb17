"""Groups of runs that differ only in seed or fold: statistics, tests between groups and mean curves.

groups = RunGroups(comparison)                  # or RunGroups(comparison, by=["model"])
for group in groups.ordered("val/acc"):         # the best mean first
    groups.summary(group, "val/acc")
"""

import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vgg_lit.analysis.significance import (
    PairedDifference,
    Summary,
    paired_difference,
    summary_of,
)
from vgg_lit.config.differences import last_part
from vgg_lit.errors import InputError
from vgg_lit.reports.comparison import Comparison
from vgg_lit.reports.data_places import PLACES, one_place
from vgg_lit.reports.group_settings import effective_settings, named_in_by, usual_texts
from vgg_lit.reports.option_names import undetermined
from vgg_lit.run_selection import start_time
from vgg_lit.tables import is_higher_better
from vgg_lit.value_types import as_written

if TYPE_CHECKING:
    from vgg_lit.analysis.curves import Curve, MeanCurve

MOST_SETTINGS = 3
"""Number of settings up to which labels have all of them, also those that most groups have in common."""

USUAL = "usual settings"
"""The label of a group that has the settings of most groups alone."""

REPETITIONS = {"seed": "seeds", "data.seed": "splits", "data.fold": "folds"}
"""Settings in which the runs of a group differ, and their names in the plural."""

Key = tuple[Any, ...]
"""Values of the settings in which the runs of a group differ; runs of two groups with one key are a pair."""


@dataclass(frozen=True)
class Group:
    """Runs that have the settings of the group in common.

    Attributes:
        label: the settings as text.
        settings: values of the settings that the groups differ in.
        members: names of the runs by key.
    """

    label: str
    settings: Mapping[str, Any]
    members: Mapping[Key, str]


class RunGroups:
    """The runs of a comparison in groups.

    Args:
        comparison: the runs.
        by: settings whose values define the groups: keys, their last parts, or sections, which stand for
            all their differing settings; None: all differing settings but seeds, folds and those without an
            effect on the results, such as `name` and the place of the same data.

    Attributes:
        by: the settings that define the groups.
        shown: those of `by` that name the groups: without those that the option of their section
            determines, unless `by` names them.
        usual: settings that most groups have, which labels leave out; empty if labels have all settings.
        varying: the other differing settings with an effect; their values pair the runs of two groups.
        paired: those of `varying` that tell pairs apart: without those that an option determines.
        repeated: names of runs that are left out, because another run of the group has the same key: one with
            final metrics comes before one without, and a later one before an earlier one.

    Raises:
        InputError: a setting of `by` does not differ between the runs.
    """

    def __init__(self, comparison: Comparison, by: Sequence[str] | None = None) -> None:
        differing = {
            key: one_place(comparison.runs, values) if key in PLACES else values
            for key, values in comparison.differences.items()
        }
        self.comparison = comparison
        effective = effective_settings(differing, comparison.metrics)
        if by is None:
            self.by = [key for key in effective if key not in REPETITIONS]
        else:
            chosen = [
                key for name in by for key in named_in_by(name, differing, comparison.settings)
            ]
            self.by = list(dict.fromkeys(chosen))
        named = [key for key in self.by for name in by or () if name in (key, last_part(key))]
        self.shown = undetermined(self.by, differing, kept=named)
        self.varying = [key for key in effective if key not in self.by]
        self.paired = undetermined(self.varying, differing)
        self.repeated: list[str] = []
        found: dict[Key, dict[Key, str]] = {}
        for name in comparison.runs:
            members = found.setdefault(tuple(differing[key][name] for key in self.by), {})
            pair = tuple(differing[key][name] for key in self.varying)
            rivals = [name] if pair not in members else [members[pair], name]
            members[pair] = max(reversed(rivals), key=self._precedence)  # of equal ones the last
            self.repeated += [rival for rival in rivals if rival != members[pair]]
        by_group = [dict(zip(self.by, values, strict=True)) for values in found]
        texts = [self._texts(settings) for settings in by_group]
        self.usual: list[str] = []
        if len(self.shown) > MOST_SETTINGS and any(len(members) > 1 for members in found.values()):
            self.usual = usual_texts(texts)
        self.groups = [
            Group(self._label(of_group), settings, members)
            for of_group, settings, members in zip(texts, by_group, found.values(), strict=True)
        ]

    def _precedence(self, name: str) -> tuple[bool, float]:
        run = self.comparison.runs[name]
        return bool(self.comparison.finals[name]), start_time(run.path)

    @property
    def has_repetitions(self) -> bool:
        """Returns True if a group has several runs."""
        return any(len(group.members) > 1 for group in self.groups)

    @property
    def repetitions(self) -> str:
        """The name of the runs of a group, such as seeds."""
        names = [REPETITIONS[key] for key in self.varying if key in REPETITIONS]
        return " and ".join(names) if len(names) == len(self.varying) and names else "runs"

    @property
    def usual_settings(self) -> str:
        """The settings that labels leave out, as a sentence."""
        return f"Usual settings: {', '.join(self.usual)}."

    @property
    def names(self) -> list[str]:
        """The last parts of the settings in `shown`; the keys if two of them have the same."""
        leaves = [_leaf(key) for key in self.shown]
        return leaves if len(set(leaves)) == len(leaves) else self.shown

    def numbered(self, sort: str) -> "RunGroups":
        """Returns the same groups with numbers in the order of `ordered` as labels, for narrow tables."""
        found = copy(self)
        numbers = {group.label: n for n, group in enumerate(self.ordered(sort), 1)}
        found.groups = [
            replace(group, label=f"group {numbers[group.label]}") for group in self.groups
        ]
        return found

    def values(self, group: Group, metric: str) -> dict[Key, float]:
        """Returns the final values of a metric by key, without missing and not finite ones."""
        finals = self.comparison.finals
        found = {key: finals[name].get(metric) for key, name in group.members.items()}
        return {
            key: value for key, value in found.items() if value is not None and math.isfinite(value)
        }

    def summary(self, group: Group, metric: str) -> Summary | None:
        """Returns the statistics of a metric; None if no run has a finite value."""
        values = list(self.values(group, metric).values())
        return summary_of(values) if values else None

    def sizes(self, group: Group) -> list[int]:
        """Returns the numbers of runs that the statistics of the metrics are over, each once."""
        found = (self.summary(group, metric) for metric in self.comparison.metrics)
        return sorted({summary.n for summary in found if summary})

    @property
    def is_measured(self) -> bool:
        """Returns True if a group has statistics of a metric."""
        return any(map(self.sizes, self.groups))

    def not_finite(self, metric: str) -> list[str]:
        """Returns the names of the runs in groups whose final value of a metric is not finite."""
        names = [name for group in self.groups for name in group.members.values()]
        return [
            name
            for name in names
            if not math.isfinite(self.comparison.finals[name].get(metric) or 0)
        ]

    def ordered(self, sort: str) -> list[Group]:
        """Returns the groups by the mean of a metric, the best first, or in the order of a column.

        Groups without a value come last.
        """
        if not self.has_means(sort):
            places = [row["run"] for row in self.comparison.rows(sort)]
            return sorted(
                self.groups, key=lambda group: min(map(places.index, group.members.values()))
            )
        means = {
            group.label: summary.mean
            for group in self.groups
            if (summary := self.summary(group, sort)) is not None
        }
        sign = -1 if is_higher_better(sort) else 1
        return sorted(
            self.groups,
            key=lambda group: sign * means[group.label] if group.label in means else math.inf,
        )

    def compared(self, sort: str) -> tuple[Group, list[Group]]:
        """Returns the group that tests compare with each other one: of the usual settings, or else the best."""
        ordered = self.ordered(sort)
        with_usual = [group for group in ordered if self._texts(group.settings) == self.usual]
        first = [*with_usual, *ordered][0]
        return first, [group for group in ordered if group is not first]

    def has_means(self, column: str) -> bool:
        """Returns True if a column is a metric, whose means rank the groups."""
        is_shown = column in self.comparison.metrics
        return is_shown or any(self.summary(group, column) for group in self.groups)

    def check_order(self, sort: str) -> None:
        """Checks that a column ranks the groups: it is a metric, or all runs of a group have one value.

        Raises:
            InputError: runs of a group have several values.
        """
        rows = {row["run"]: row for row in self.comparison.rows(sort)}
        allowed = [
            column
            for column in self.comparison.columns
            if column in self.by
            or self.has_means(column)
            or all(
                len({rows[name][column] for name in group.members.values()}) == 1
                for group in self.groups
            )
        ]
        if sort not in allowed:
            raise InputError(
                f"sort={sort}: groups have no such column; allowed: {', '.join(allowed)}"
            )

    def common(self, first: Group, second: Group) -> list[Key]:
        """Returns the keys that both groups have."""
        return [key for key in first.members if key in second.members]

    def difference(self, first: Group, second: Group, metric: str) -> PairedDifference | None:
        """Returns the test of `first - second` over common keys; None if there is no pair."""
        ours, others = self.values(first, metric), self.values(second, metric)
        keys = [key for key in ours if key in others]
        if not keys:
            return None
        return paired_difference([ours[key] for key in keys], [others[key] for key in keys])

    def curves(
        self, metrics: Sequence[str] | None = None
    ) -> dict[str, dict[str, "Curve | MeanCurve"]]:
        """Returns the mean curve of each group with its deviation, by metric and then by label.

        A run without final metrics, whose curve may end early, counts only in a group without any other.

        Raises:
            InputError: a metric that no run has.
        """
        from vgg_lit.analysis.curves import mean_curve

        found: dict[str, dict[str, Curve | MeanCurve]] = {}
        finals = self.comparison.finals
        for metric, curves in self.comparison.curves_by_run(metrics).items():
            found[metric] = {}
            for group in self.groups:
                names = [name for name in group.members.values() if name in curves]
                complete = [name for name in names if finals[name]]
                if names:
                    each = [curves[name] for name in complete or names]
                    found[metric][group.label] = mean_curve(each)
        return found

    def key_text(self, key: Key) -> str:
        """Formats the values that two paired runs have in common."""
        values = dict(zip(self.varying, key, strict=True))
        return ", ".join(f"{_leaf(name)}={as_written(values[name])}" for name in self.paired)

    def _texts(self, settings: Mapping[str, Any]) -> list[str]:
        """Returns the settings that name a group."""
        pairs = zip(self.names, self.shown, strict=True)
        return [f"{name}={as_written(settings[key])}" for name, key in pairs]

    def _label(self, texts: Sequence[str]) -> str:
        if not self.by:
            return "all runs"
        return ", ".join(text for text in texts if text not in self.usual) or USUAL


def _leaf(key: str) -> str:
    """Returns the last part of a key; the variant of a model is the model, as on the command line."""
    return "model" if key == "model.variant" else last_part(key)

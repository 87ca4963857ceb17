"""The HTML page of a study, in one file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from vgg_lit.system.pages import PageSection, html_page
from vgg_lit.table_widths import TextRows

TITLES = {"history.png": "Search history", "importance.png": "Importance of the settings"}
"""Titles of the figures, by their files."""


def study_page(
    path: Path,
    facts: Mapping[str, str],
    figures: Sequence[str],
    rows: TextRows,
    reasons: Mapping[int, str],
) -> str:
    """Returns the page: the result, the figures, a table of the trials, and why trials failed.

    Args:
        path: directory of the study, with the figures.
        facts: the result and the next commands, by name.
        figures: names of the figures that are there.
        rows: the trials.
        reasons: reasons of the failed trials, by their numbers.
    """
    result = [{"quantity": name, "value": text} for name, text in facts.items()]
    sections = [PageSection("Result", table=result)]
    sections += [PageSection(TITLES[name], picture=path / name) for name in figures]
    sections.append(PageSection("Trials", table=rows))
    if reasons:
        table = [{"trial": f"{number}", "reason": text} for number, text in reasons.items()]
        sections.append(PageSection("Failed trials", table=table))
    return html_page(f"Study {path}", sections)

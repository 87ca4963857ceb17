"""Relative links between the documents of the repository resolve."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(ROOT / "benchmarks/README.md", *sorted((ROOT / "docs").glob("*.md"))),
]


def prose(page):
    """The text of a page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def targets(page):
    """The targets of the relative links on a page."""
    return re.findall(r"\]\((?!\w+:)([^)\s]+)\)", prose(page))


def anchors(page):
    """Yields GitHub's anchors of the headings on a page; the second of a name ends in -1."""
    seen = Counter()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        name = re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")
        yield f"{name}-{seen[name]}" if seen[name] else name
        seen[name] += 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_resolves(page):
    for target in targets(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_relative_to(ROOT), f"{target} leaves the repository"
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_the_readme_links_to_every_page():
    linked = {ROOT / target.partition("#")[0] for target in targets(ROOT / "README.md")}
    assert set(PAGES) - {ROOT / "README.md"} <= linked

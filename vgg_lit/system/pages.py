"""Self-contained HTML pages of tables and embedded figures, in light and dark."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from vgg_lit.system.terminal import visible
from vgg_lit.table_widths import TextRows

THEME = """
:root { color-scheme: light dark; --text: #1a1a1a; --page: #fff; --line: #ddd; --strong: #555;
        --quiet: #595959; --link: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e6; --page: #161616; --line: #3a3a3a; --strong: #999; --quiet: #a8a8a8;
          --link: #6cb6e8; }
  img { padding: 0.5rem; }
}
body { color: var(--text); background: var(--page); }
img { max-width: 100%; height: auto; box-sizing: border-box; background: #fff; border-radius: 4px; }
"""
"""The colours of all pages, in light and dark; figures keep their white ground."""

STYLE = """
body { max-width: 1080px; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { margin-top: 3rem; font-size: 1.25rem;
     border-top: 1px solid var(--line); padding-top: 1rem; }
nav { margin: 1rem 0; } nav a { margin-right: 1rem; white-space: nowrap; }
a { color: var(--link); }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.8rem; border-bottom: 1px solid var(--line); text-align: left; }
.number { text-align: right; white-space: nowrap; } td.text { overflow-wrap: anywhere; }
div { overflow-x: auto; }
"""


@dataclass(frozen=True)
class PageSection:
    """A section of the page.

    Attributes:
        title: title of the section.
        text: paragraphs.
        picture: PNG file; None: no figure.
        table: rows of a table, after the picture and its text; empty: no table.
    """

    title: str
    text: Sequence[str] = ()
    picture: Path | None = None
    table: TextRows = ()


def html_text(text: str) -> str:
    """Returns text on one line that HTML shows as it is, also in an attribute."""
    return escape(visible(text))


def html_page(title: str, sections: Sequence[PageSection]) -> str:
    """Returns the page; all text is escaped."""
    links = "".join(
        f'<a href="#{number}">{html_text(section.title)}</a> '
        for number, section in enumerate(sections)
    )
    body = "".join(_section(number, section) for number, section in enumerate(sections))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html_text(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<style>{THEME}{STYLE}</style></head>\n"
        f"<body><h1>{html_text(title)}</h1>\n<nav>{links}</nav>\n{body}</body></html>\n"
    )


def _section(number: int, section: PageSection) -> str:
    parts = [f'<section id="{number}"><h2>{html_text(section.title)}</h2>\n']
    table = [_table(section.table)] if section.table else []
    if not section.picture:
        parts += table
    else:
        data = base64.b64encode(section.picture.read_bytes()).decode()
        alt = html_text(section.title)
        parts.append(f'<img alt="{alt}" src="data:image/png;base64,{data}">\n')
    parts += [f"<p>{html_text(paragraph)}</p>\n" for paragraph in section.text]
    parts += table if section.picture else []
    return "".join([*parts, "</section>\n"])


def _table(rows: TextRows) -> str:
    """Returns an HTML table; columns with only numbers are aligned to the right."""
    numeric = {name for name in rows[0] if all(row[name][:1].isdigit() for row in rows)}
    kinds = {name: "number" if name in numeric else "text" for name in rows[0]}
    head = "".join(f'<th class="{kind}">{html_text(name)}</th>' for name, kind in kinds.items())
    lines = [
        "".join(f'<td class="{kinds[name]}">{html_text(text)}</td>' for name, text in row.items())
        for row in rows
    ]
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    return f"<div><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n"

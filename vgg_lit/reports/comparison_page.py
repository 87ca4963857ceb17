"""A self-contained HTML page of a comparison: sortable tables and a figure, in light and dark."""

import base64
from collections.abc import Sequence
from typing import Any

from vgg_lit.reports.comparison_tables import ComparisonTable
from vgg_lit.system.pages import THEME, html_text

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{theme}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.15rem; margin: 2.5rem 0 0.5rem; }}
p {{ margin: 0.5rem 0; }} .quiet {{ color: var(--quiet); }}
table {{ border-collapse: collapse; white-space: nowrap; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.25em 0.8em; border-bottom: 1px solid var(--line); text-align: left; }}
th {{ cursor: pointer; border-bottom: 2px solid var(--strong); }}
th[aria-sort=ascending]::after {{ content: " \\25B2"; }}
th[aria-sort=descending]::after {{ content: " \\25BC"; }}
.number {{ text-align: right; }}
div {{ overflow-x: auto; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p class="quiet">Click a column header to sort by it; click again to reverse the order.</p>
{figure}
{tables}
<script>
document.querySelectorAll("table").forEach(table => {{
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.addEventListener("click", () => {{
    const rises = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", rises ? "ascending" : "descending");
    const value = row => row.cells[column].dataset.value;
    const isNumber = text => text !== "" && !isNaN(text);
    const order = (a, b) => isNumber(a) && isNumber(b) ? a - b : a.localeCompare(b);
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => (value(a) === "") - (value(b) === "")
      || (rises ? 1 : -1) * order(value(a), value(b)));
    table.tBodies[0].append(...rows);
  }}));
}});
</script>
</body>
</html>
"""


def comparison_page(title: str, tables: Sequence[ComparisonTable], figure_png: bytes | None) -> str:
    """Returns the page; all text is escaped, and missing values are always sorted last.

    Args:
        title: title of the page.
        tables: the tables, in order.
        figure_png: figure of the learning curves; None: no figure.
    """
    return _PAGE.format(
        theme=THEME,
        title=html_text(title),
        tables="\n".join(map(html_table, tables)),
        figure=_image(figure_png) if figure_png else "",
    )


def html_table(table: ComparisonTable) -> str:
    """Returns a table with its title and remarks as HTML."""
    numbers = {column for row in table.values for column in row if _is_number(row[column])}
    heads = "".join(
        f"<th{_kind(column in numbers)}>{html_text(column)}</th>" for column in table.texts[0]
    )
    lines = [
        "<tr>" + "".join(_cell(row[column], text[column]) for column in text) + "</tr>"
        for row, text in zip(table.values, table.texts, strict=True)
    ]
    remarks = "".join(f'\n<p class="quiet">{html_text(remark)}</p>' for remark in table.remarks)
    body = "\n".join(lines)
    return (
        f"<h2>{html_text(table.title)}</h2>\n<div><table>\n<thead><tr>{heads}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table></div>{remarks}"
    )


def _image(png: bytes) -> str:
    data = base64.b64encode(png).decode()
    return f'<img alt="Learning curves of the runs" src="data:image/png;base64,{data}">'


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _kind(is_number: bool) -> str:
    return ' class="number"' if is_number else ""


def _cell(value: Any, text: str) -> str:
    sorted_by = "" if value is None else html_text(str(value))
    return f'<td{_kind(_is_number(value))} data-value="{sorted_by}">{html_text(text)}</td>'

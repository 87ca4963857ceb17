"""A self-contained HTML page of a comparison: a sortable table and a figure."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 14px/1.5 system-ui, sans-serif; color: #222; margin: 2em; }}
table {{ border-collapse: collapse; white-space: nowrap; }}
th, td {{ padding: 0.25em 0.8em; border-bottom: 1px solid #ddd; text-align: left; }}
th {{ cursor: pointer; border-bottom: 2px solid #222; }}
th[aria-sort=ascending]::after {{ content: " \\25B2"; }}
th[aria-sort=descending]::after {{ content: " \\25BC"; }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
div {{ overflow-x: auto; }}
img {{ max-width: 100%; margin-top: 2em; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>Click a column header to sort by it; click again to reverse the order.</p>
<div><table>
<thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody>
</table></div>
{figure}
<script>
const table = document.querySelector("table");
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
</script>
</body>
</html>
"""


def comparison_page(
    title: str,
    rows: Sequence[Mapping[str, Any]],
    texts: Sequence[Mapping[str, str]],
    figure_png: bytes | None,
) -> str:
    """Returns the page.

    Args:
        title: title of the page.
        rows: values by column, used for sorting; None is always sorted last.
        texts: displayed texts of the same values.
        figure_png: figure of the learning curves; None: no figure.
    """
    lines = [
        "<tr>" + "".join(_cell(row[column], text[column]) for column in row) + "</tr>"
        for row, text in zip(rows, texts, strict=True)
    ]
    return _PAGE.format(
        title=escape(title),
        heads="".join(f"<th>{escape(column)}</th>" for column in rows[0]),
        rows="\n".join(lines),
        figure=_image(figure_png) if figure_png else "",
    )


def _image(png: bytes) -> str:
    data = base64.b64encode(png).decode()
    return f'<img alt="Learning curves of the runs" src="data:image/png;base64,{data}">'


def _cell(value: Any, text: str) -> str:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    kind = ' class="number"' if is_number else ""
    sorted_by = "" if value is None else escape(str(value), quote=True)
    return f'<td{kind} data-value="{sorted_by}">{escape(text)}</td>'

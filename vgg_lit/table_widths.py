"""Tables that fit the terminal: long texts are shortened, then the last columns are left out.

rows, left_out = fit_rows(rows, width=80)
"""

import re
from collections.abc import Mapping, Sequence

from rich.cells import cell_len

SHORTEST = 12
"""Columns to which a text or a header is shortened, before a column is left out."""

_NUMBER = r"[-+<]?\s*[\d.,]+(e[-+]?\d+)?"
_NUMBERS = re.compile(rf"({_NUMBER}( %| points)?( to {_NUMBER}( %| points)?)?)?")
"""Numbers, with a unit or as an interval, and empty cells; they are not shortened."""

TextRows = Sequence[Mapping[str, str]]
"""Rows with the same columns."""


def shorten_middle(text: str, width: int) -> str:
    """Replaces the middle of a text by an ellipsis if it is wider than `width` columns; keeps more of the end.

    Characters of Chinese, Japanese and Korean are two columns wide.
    """
    if cell_len(text) <= width:
        return text
    tail = ""
    for character in reversed(text):
        if cell_len(tail) + cell_len(character) > 2 * width // 3:
            break
        tail = character + tail
    head = ""
    for character in text:
        if cell_len(head) + cell_len(character) > width - 1 - cell_len(tail):
            break
        head += character
    return f"{head}…{tail}"


def fit_rows(rows: TextRows, width: int) -> tuple[TextRows, list[str]]:
    """Returns rows whose table is at most `width` wide, and the columns that are left out.

    The first column is never left out. A header is shortened to its last part first.
    """
    columns = list(rows[0])
    while True:
        headers = {column: column for column in columns}
        widths = _widths(rows, headers)
        if _total(widths) > width:
            leaves = {column: column.rpartition(".")[2] for column in columns}
            if len(set(leaves.values())) == len(leaves):
                headers = leaves
                widths = _widths(rows, headers)
        least = {column: min(widths[column], _least(rows, column)) for column in columns}
        while _total(widths) > width and any(widths[c] > least[c] for c in columns):
            widest = max((c for c in columns if widths[c] > least[c]), key=lambda c: widths[c])
            widths[widest] -= 1
        if _total(widths) <= width or len(columns) == 1:
            break
        columns.pop()
    fitted = [
        {
            shorten_middle(headers[column], widths[column]): shorten_middle(
                row[column], widths[column]
            )
            for column in columns
        }
        for row in rows
    ]
    if any(len(row) < len(columns) for row in fitted):  # two headers are shortened to the same
        fitted = [
            dict(zip(columns, (shorten_middle(row[c], widths[c]) for c in columns), strict=True))
            for row in rows
        ]
    return fitted, [column for column in rows[0] if column not in columns]


def _widths(rows: TextRows, headers: Mapping[str, str]) -> dict[str, int]:
    return {
        column: max(cell_len(header), *(cell_len(row[column]) for row in rows))
        for column, header in headers.items()
    }


def _least(rows: TextRows, column: str) -> int:
    """Returns the width to which a column may shrink; numbers are not shortened."""
    if all(_NUMBERS.fullmatch(row[column]) for row in rows):
        return max(SHORTEST, *(cell_len(row[column]) for row in rows))
    return SHORTEST


def _total(widths: Mapping[str, int]) -> int:
    return sum(width + 3 for width in widths.values()) + 1

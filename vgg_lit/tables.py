"""Output of the commands: facts, one per line, and tables of metrics."""

import csv
import io
import os
import re
import sys
import textwrap
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vgg_lit.errors import InputError
from vgg_lit.system.markdown import markdown_text
from vgg_lit.system.small_files import read_small_text
from vgg_lit.system.terminal import visible
from vgg_lit.table_widths import TextRows, fit_rows

LARGEST_TABLE = 2**26
"""Limit on the bytes of a CSV file: a row for each of 100,000 images."""


def plain_console() -> Console:
    """Returns a console without markup: rich would interpret brackets and colons in file and class names."""
    return Console(markup=False, emoji=False, _environ=_environment())


def _environment() -> dict[str, str]:
    """Returns the environment variables; without COLUMNS=0, which pseudo-terminals without a size set."""
    return {
        name: value for name, value in os.environ.items() if name != "COLUMNS" or value.strip("0")
    }


def _has_width(console: Console) -> bool:
    """Returns True if lines are to fit a terminal, or the variable COLUMNS."""
    return console.is_terminal or "COLUMNS" in _environment()


def print_facts(facts: Mapping[str, str]) -> None:
    """Prints names and values in two columns; values are not wrapped, so that they can be copied."""
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:<{width}}  {visible(value)}", flush=True)


STAGES = ("train", "val", "test")
FORMULA = ("=", "+", "-", "@")
"""First characters of the formulas of spreadsheets."""

NUMBER = re.compile(r"\s*([-+]?([\d.,]+(e[-+]?\d+)?|nan|inf)( %)?)?\s*")
"""The number format in tables; also matches an empty cell."""


def print_metrics(metrics: Mapping[str, float], title: str, num_classes: int | None = None) -> None:
    """Prints metrics as a table by stage, accuracies in per cent.

    Args:
        metrics: values by name.
        title: title of the table.
        num_classes: number of classes; top-k accuracies that are always 100 % are left out.
    """
    rows = []
    for name in sorted(metrics, key=_place):
        rank = re.fullmatch(r"(?:val|test)/top(\d+)", name)
        is_trivial = rank and num_classes and int(rank.group(1)) >= num_classes
        if not name.endswith("/top1") and not is_trivial:  # top1 is the same as acc
            rows.append({"metric": name, "value": format_metric(name, metrics[name])})
    print_rows(rows, title)


def _place(name: str) -> tuple[int, str]:
    stage = name.partition("/")[0]
    return (STAGES.index(stage) if stage in STAGES else len(STAGES)), name


def print_rows(rows: TextRows, title: str, ends_section: Collection[int] = ()) -> None:
    """Prints rows as a table, at most as wide as the terminal; numbers are aligned right.

    In a file or a pipe the width is unlimited, unless the variable COLUMNS is set and not 0. Columns that do
    not fit are named below the table.

    Args:
        rows: cell texts by column.
        title: title of the table.
        ends_section: indices of the rows with a line below.
    """
    console = plain_console()
    shown, left_out = fitted_rows(rows)
    table = text_table(shown, ends_section)
    options = console.options.update(max_width=sys.maxsize)
    console.width = max(console.width, console.measure(table, options=options).maximum)
    # A title of the table would be wrapped to its width.
    is_whole = not _has_width(console)
    console.print(visible(title), style="italic", soft_wrap=is_whole, highlight=False)
    console.print(table)
    if left_out:
        print(f"Not shown, for want of space: {', '.join(left_out)}.")


def fitted_rows(rows: TextRows) -> tuple[TextRows, Sequence[str]]:
    """Returns the rows that `print_rows` prints, and the columns that do not fit the terminal."""
    console = plain_console()
    shown: TextRows = [{visible(name): visible(text) for name, text in row.items()} for row in rows]
    if _has_width(console):
        return fit_rows(shown, console.width)
    return shown, ()


def print_sentence(text: str) -> None:
    """Prints a sentence below a table; lines of a terminal end between two words."""
    console = plain_console()
    if _has_width(console):
        text = textwrap.fill(text, console.width, break_long_words=False, break_on_hyphens=False)
    print(text)


def text_table(rows: TextRows, ends_section: Collection[int] = ()) -> Table:
    """Returns a table of rich; numbers are aligned right."""
    table = Table()
    for name in rows[0]:
        is_number = all(NUMBER.fullmatch(row[name]) for row in rows)
        table.add_column(name, overflow="fold", justify="right" if is_number else "left")
    for number, row in enumerate(rows):
        table.add_row(*row.values(), end_section=number in ends_section)
    return table


def markdown_table(rows: Sequence[Mapping[str, str]], is_markup: bool = False) -> str:
    """Formats rows with the same columns as a table in Markdown.

    Args:
        rows: cell texts by column.
        is_markup: True if the cells contain markup; False shows them as they are.
    """
    shown = str if is_markup else markdown_text
    cells = [[*map(shown, line)] for line in (rows[0], *(row.values() for row in rows))]
    lines = [cells[0], ["---"] * len(rows[0]), *cells[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Formats rows as CSV with a header.

    Args:
        rows: values by column; a missing value is an empty cell.
        columns: their order; None takes the columns of the first row.
    """
    text = io.StringIO()
    names = [csv_cell(name) for name in columns or rows[0]]
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({csv_cell(name): csv_cell(value) for name, value in row.items()})
    return text.getvalue()


def csv_cell(value: Any) -> Any:
    """Returns the value of a cell; text is on one line, and is never a formula of a spreadsheet.

    A text that a spreadsheet would compute gets an apostrophe in front: `'=1+1`. Numbers are unchanged.
    """
    if not isinstance(value, str):
        return value
    text = visible(value)
    if not text.startswith(FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def read_csv(path: Path) -> list[dict[str, str]]:
    """Returns the rows of a CSV file with a header; empty if there is no such file.

    Raises:
        InputError: the file cannot be read, or a row has more or fewer cells than the header.
    """
    header, rows = _read_cells(path)
    return [dict(zip(header, row, strict=True)) for row in rows]


def _read_cells(path: Path) -> tuple[list[str], list[list[str]]]:
    text = read_small_text(path, LARGEST_TABLE) or ""
    try:
        lines = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    header, *rows = lines or [[]]
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise InputError(
                f"{path}: cannot be read: row {number} has {len(row)} cells, the header has {len(header)}"
            )
    return header, rows


def epoch_texts(metrics: Mapping[str, float]) -> dict[str, str]:
    """Returns the cells of metrics in a `metrics.csv`."""
    return {name: f"{value:.7g}" for name, value in metrics.items()}


def read_epochs(path: Path) -> list[dict[str, str]]:
    """Returns the rows of a `metrics.csv`, one per epoch; their cells are numbers or empty.

    Raises:
        InputError: as for `read_csv`; there is no column `epoch`, or a cell is not a number.
    """
    header, lines = _read_cells(path)
    if header and "epoch" not in header:
        raise InputError(f"{path}: cannot be read: has no column epoch")
    rows = [dict(zip(header, row, strict=True)) for row in lines]
    for row in rows:
        for name, text in row.items():
            number = int if name in ("epoch", "step") else float
            try:
                if text or name == "epoch":
                    number(text)
            except ValueError:
                raise InputError(
                    f"{path}: cannot be read: {name}={text[:50]}: is not a number"
                ) from None
    return rows


LOWER_IS_BETTER = ("loss", "error", "ece", "nll", "entropy", "hamming", "distance")
"""Words in the names of metrics of a split that are minimised, such as `objective_loss`."""


def is_higher_better(metric: str) -> bool:
    """Returns True if a higher value of the metric is better.

    Metrics of a split are scores, such as `val/f1_macro`, unless their names tell that they are losses or
    errors. Of other quantities, such as time, less is better, except for the speed.
    """
    stage, _, name = metric.removeprefix("final/").partition("/")
    if stage in ("train", "val", "test"):
        return not set(name.partition("/")[0].lower().split("_")).intersection(LOWER_IS_BETTER)
    return metric.rpartition("/")[2].startswith(("acc", "top", "images_per_second"))


def is_accuracy(metric: str) -> bool:
    """Returns True for the accuracies, which are fractions in 0..1 and shown in per cent."""
    quantity = metric.rpartition("/")[2]
    return quantity == "acc" or quantity.startswith("top")


def format_metric(name: str, value: float) -> str:
    """Formats a metric: accuracies in per cent, counts as whole numbers, losses with four digits."""
    quantity = name.rpartition("/")[2]
    if is_accuracy(name):
        return f"{100 * value:.2f} %"
    if quantity in ("data_wait", "ceiling_fraction"):
        return f"{100 * value:.1f} %"
    if quantity == "images_per_second":
        return f"{value:,.0f}"
    if quantity == "seconds":
        return f"{value:.1f}"
    if quantity.endswith("loss"):
        return f"{value:#.4g}".removesuffix(".")
    return f"{value:.4g}"

"""Printed and written predictions for image files."""

from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.table import Table

from vgg_lit.evaluation.prediction import Prediction
from vgg_lit.system.files import shown_path, write_text
from vgg_lit.system.terminal import visible
from vgg_lit.table_widths import shorten_middle
from vgg_lit.tables import plain_console, print_facts, to_csv

MOST_ROWS = 20
SHORTEST_PATH = 24
"""Columns for the path of an image, before a further class is shown."""

HINT_FROM = 0.1
"""Share of images that have to be like inverted training images for a hint at `invert`."""

_EDGE, _BETWEEN = 1, 3  # columns of the table's left edge; of the space and edge of each column
_UNLIKE = "unlike"


def report_predictions(predictions: Sequence[Prediction], output: Path, is_inverted: bool) -> None:
    """Writes predictions to a CSV file, then prints them.

    Args:
        predictions: predictions with the same number of classes.
        output: file to write.
        is_inverted: True if the pixels were inverted.
    """
    write_text(output, predictions_csv(predictions))
    print_predictions(predictions)
    print_differences(predictions, is_inverted)
    print_facts({"written": f"{output} ({len(predictions)} images)"})


def predictions_csv(predictions: Sequence[Prediction]) -> str:
    """Formats predictions as CSV: a row an image, two columns a class, and the differences."""
    return to_csv(
        [
            {"image": shown_path(one.path)}
            | {
                key: value
                for rank, (name, probability) in enumerate(one.likeliest, 1)
                for key, value in (
                    (f"class{rank}", name),
                    (f"probability{rank}", f"{probability:.6f}"),
                )
            }
            | {"unlike_training": "; ".join(one.differences)}
            for one in predictions
        ]
    )


def print_predictions(predictions: Sequence[Prediction], most: int = MOST_ROWS) -> None:
    """Prints a line an image: its path and as many of its likeliest classes as fit the terminal.

    A line below the table names the classes that do not fit.

    Args:
        predictions: predictions with the same number of classes.
        most: number of images; the others are counted.
    """
    console = plain_console()
    rows = predictions[:most]
    paths = [shown_path(one.path) for one in rows]
    cells = [[f"{visible(name)} {100 * p:.1f} %" for name, p in one.likeliest] for one in rows]
    is_marked = any(one.differences for one in rows)
    left = console.width - _EDGE - _BETWEEN - (len(_UNLIKE) + _BETWEEN if is_marked else 0)
    widest_path = max(cell_len("image"), *map(cell_len, paths))
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    count = 1
    while (
        count < len(widths)
        and sum(widths[: count + 1]) + _BETWEEN * (count + 1) + min(widest_path, SHORTEST_PATH)
        <= left
    ):
        count += 1
    taken = sum(widths[:count]) + _BETWEEN * count
    path_width = max(min(widest_path, SHORTEST_PATH, left // 2), left - taken)
    class_width = max(1, left - min(widest_path, path_width) - _BETWEEN)  # if only one class fits
    table = Table()
    table.add_column("image", no_wrap=True)
    for rank in range(1, count + 1):
        table.add_column(str(rank), no_wrap=True)
    if is_marked:
        table.add_column("", no_wrap=True)
    for one, path, texts in zip(rows, paths, cells, strict=True):
        shortened = [shorten_middle(text, class_width) for text in texts[:count]]
        mark = [_UNLIKE if one.differences else ""] if is_marked else []
        table.add_row(shorten_middle(path, path_width), *shortened, *mark)
    console.print(table)
    if count < len(widths):
        left_out = "class" if count + 1 == len(widths) else f"classes {count + 1} to"
        print(f"Not shown, for want of space: {left_out} {len(widths)}.")
    if len(predictions) > most:
        print(f"... and {len(predictions) - most} more")


def print_differences(predictions: Sequence[Prediction], is_inverted: bool) -> None:
    """Prints the number of images that are unlike the training images, with the first of them.

    Args:
        predictions: predictions for the images.
        is_inverted: True if the pixels were inverted.
    """
    unlike = [one for one in predictions if one.differences]
    if not unlike:
        return
    first = unlike[0]
    print_facts(
        {
            "unlike the training images": f"{len(unlike)} of {len(predictions)}; the first, "
            f"{shown_path(first.path)}: {'; '.join(first.differences)}"
        }
    )
    inverted = sum(one.is_like_inverted for one in unlike)
    if inverted >= HINT_FROM * len(predictions):
        setting = "without invert=true" if is_inverted else "with invert=true"
        print(f"{inverted} of them would be like training images {setting}")

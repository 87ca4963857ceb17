"""Metrics with two dimensions, such as a confusion matrix, as a CSV file and a figure of the run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from vgg_lit.system.files import write_text
from vgg_lit.tables import to_csv

MAX_DRAWN = 200
"""Largest number of rows of a matrix that is drawn."""


def write_matrices(
    path: Path, matrices: Mapping[str, Tensor], classes: Sequence[str], split: str
) -> list[Path]:
    """Writes `<name>.csv` and, for one row and column per class, `figures/<name>.png`; returns the files.

    Args:
        path: run directory.
        matrices: results by name; rows are true classes.
        classes: class names by label.
        split: name of the split, for the title of the figure.
    """
    files = []
    for name, matrix in matrices.items():
        is_by_class = tuple(matrix.shape) == (len(classes), len(classes))
        columns = list(classes) if is_by_class else [str(i) for i in range(matrix.shape[1])]
        rows = [
            {"": columns[i] if is_by_class else str(i)}
            | {column: f"{value:.7g}" for column, value in zip(columns, row, strict=True)}
            for i, row in enumerate(matrix.flatten(start_dim=1).tolist())
        ]
        files.append(path / f"{name}.csv")
        write_text(files[-1], to_csv(rows, ["", *columns]))
        is_count = torch.equal(matrix, matrix.round())
        if is_by_class and is_count and len(classes) <= MAX_DRAWN:
            from vgg_lit.analysis.charts import confusion_chart
            from vgg_lit.analysis.style import save_figure

            files.append(path / "figures" / f"{name}.png")
            figure = confusion_chart(matrix.int().cpu().numpy(), classes, f"{name}, {split}")
            save_figure(figure, files[-1])
    return files

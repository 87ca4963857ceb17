"""Printed and written scores of an evaluation."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vgg_lit.evaluation.scoring import Row
from vgg_lit.system.files import to_json, write_text
from vgg_lit.system.markdown import markdown_text
from vgg_lit.tables import markdown_table, print_facts, print_metrics, print_rows


def report_scores(
    folder: Path,
    stem: str,
    data: str,
    split: str,
    checkpoints: Sequence[Mapping[str, str]],
    rows: Sequence[Row],
    metrics: Sequence[Mapping[str, float]],
    num_classes: int,
) -> Path:
    """Prints the metrics and writes them to a folder; several rows also as a Markdown table.

    Returns the path of the written files without their suffixes.

    Args:
        folder: folder of evaluations of the first run.
        stem: name of the files, to which several rows add the views.
        data: name of the data set.
        split: name of the split.
        checkpoints: file and precision of each network.
        rows: evaluations; the last one is the requested one.
        metrics: metrics of each row.
        num_classes: number of classes; tables leave out top-k accuracies that are always 100 %.
    """
    asked = rows[-1]
    is_fusion = len(checkpoints) > 1
    record: dict[str, Any] = {"checkpoints": checkpoints} if is_fusion else {**checkpoints[0]}
    record["metrics"] = metrics[-1]
    file = folder / stem
    if len(rows) == 1:
        print_metrics(metrics[0], f"{asked.network} on {data}", num_classes)
    else:
        both = list(zip(rows, metrics, strict=True))
        record["rows"] = [
            {"network": row.network, "views": row.label, "metrics": found} for row, found in both
        ]
        table = [_cells(row, found, is_fusion, num_classes) for row, found in both]
        title = f"{asked.network} on {data}, {split}: accuracies in per cent"
        print_rows(table, title)
        name = f"{asked.network} {asked.label}" if is_fusion else asked.label
        file = folder / f"{stem}_{re.sub(r'[^0-9a-z]+', '-', name)}"
        text = f"{markdown_text(title)}\n\n{markdown_table(table)}"
        _write(file.with_name(f"{file.name}.md"), text)
    _write(file.with_name(f"{file.name}.json"), to_json(record))
    return file


def _cells(
    row: Row, metrics: Mapping[str, float], names_network: bool, num_classes: int
) -> dict[str, str]:
    """Returns a row of the table, by column."""
    network = {"network": row.network} if names_network else {}
    values = {name.partition("/")[2]: value for name, value in metrics.items()}
    loss = {"loss": f"{values['loss']:.4f}"}
    shown = range(1, min(6, num_classes))
    accuracies = {f"top{k}": f"{100 * values[f'top{k}']:.2f}" for k in shown}
    known = {"loss", "acc", *(f"top{k}" for k in range(1, 6))}
    others = {
        name: f"{value:.4f}"
        for name, value in values.items()
        if name not in known and "/" not in name  # not a value per class
    }
    return {**network, "views": row.label, **loss, **accuracies, **others}


def _write(file: Path, text: str) -> None:
    write_text(file, text)
    print_facts({"written": str(file)})

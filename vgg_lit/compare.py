"""Compares runs: a table of the settings in which they differ and how they ended, and learning curves.

python -m vgg_lit.compare runs=logs/sweeps/vgg13_bn_slim/2026-01-31_12-00-00_1f3a
python -m vgg_lit.compare runs=[<run>,<run>] sort=seconds output=two
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from vgg_lit.command import run_verb
from vgg_lit.comparing.comparison import Comparison, find_runs
from vgg_lit.comparing.page import comparison_page
from vgg_lit.config import check, to_plain
from vgg_lit.files import replacing
from vgg_lit.schema import Compare
from vgg_lit.tables import format_metric, markdown_table, print_facts, print_rows
from vgg_lit.targets import trust

if TYPE_CHECKING:
    from vgg_lit.analysis.curves import Curve


def compare(config: DictConfig) -> None:
    """Prints a table of runs and writes it with their learning curves.

    Raises:
        InputError: fewer than two runs, one that cannot be read, or no such column or metric.
    """
    settings = check(to_plain(config), Compare)
    trust(settings.trusted_targets)
    places = [settings.runs] if isinstance(settings.runs, str) else settings.runs
    comparison = Comparison(find_runs(places), settings.metrics)
    sort = settings.sort or next(iter(comparison.metrics), "run")
    rows = comparison.rows(sort)
    texts = [{column: _text(column, value) for column, value in row.items()} for row in rows]
    curves = comparison.curves(settings.curves)
    title = f"{len(rows)} runs by {sort}"
    print_rows(texts, title)

    output = Path(settings.output)
    files = {
        "comparison.csv": _to_csv(rows).encode(),
        "comparison.md": f"# {title}\n\n{markdown_table(texts)}".encode(),
    }
    if curves:  # else no run has come to the end of an epoch
        files["curves.png"] = _draw(curves)
    page = comparison_page(title, rows, texts, files.get("curves.png"))
    files["comparison.html"] = page.encode()
    for name, content in files.items():
        with replacing(output / name) as temporary:
            temporary.write_bytes(content)
    print_facts({"written": f"{output}: {', '.join(files)}"})


def _text(column: str, value: Any) -> str:
    if value is None:
        return ""
    if column == "parameters":
        return f"{value:,}"
    return format_metric(column, value) if "/" in column or column == "seconds" else str(value)


def _draw(curves: Mapping[str, Mapping[str, "Curve"]]) -> bytes:
    from vgg_lit.analysis.curves import learning_curves
    from vgg_lit.analysis.style import DPI

    picture = io.BytesIO()
    learning_curves(curves).savefig(picture, format="png", dpi=DPI)
    return picture.getvalue()


def _to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def main() -> None:
    """The console script `vgg-compare`."""
    run_verb(compare, "compare")


if __name__ == "__main__":
    main()

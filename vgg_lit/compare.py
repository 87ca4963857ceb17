"""Compares runs: differing settings, final metrics, learning curves.

python -m vgg_lit.compare runs=logs/sweeps/vgg13_bn_slim/2026-01-31_12-00-00_1f3a
python -m vgg_lit.compare 'runs=[<run>,<run>]' sort=seconds output=two
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from vgg_lit.config.checks import check_section, to_plain
from vgg_lit.config.command import run_verb
from vgg_lit.config.schema import Compare
from vgg_lit.reports.comparison import Comparison, find_runs
from vgg_lit.reports.comparison_page import comparison_page
from vgg_lit.system.files import write_text
from vgg_lit.tables import format_metric, markdown_table, print_facts, print_rows, to_csv
from vgg_lit.targets import trust


def compare(config: DictConfig) -> None:
    """Prints a table of runs and writes it with their learning curves.

    Raises:
        InputError: there are fewer than two runs, a run cannot be read, or there is no such column
            or metric.
    """
    settings = check_section(to_plain(config), Compare)
    trust(settings.trusted_targets)
    places = [settings.runs] if isinstance(settings.runs, str) else settings.runs
    comparison = Comparison(find_runs(places), settings.columns)
    sort = settings.sort or next(iter(comparison.metrics), "run")
    rows = comparison.rows(sort)
    texts = [{column: _text(column, value) for column, value in row.items()} for row in rows]
    curves = comparison.curves(settings.curves)
    title = f"{len(rows)} runs by {sort}"
    print_rows(texts, title)

    output = Path(settings.output)
    files = {
        "comparison.csv": to_csv(rows),
        "comparison.md": f"# {title}\n\n{markdown_table(texts)}",
    }
    picture = None
    if curves:  # empty if no run has completed an epoch
        from vgg_lit.analysis.curves import learning_curves
        from vgg_lit.analysis.style import save_figure

        picture = output / "curves.png"
        save_figure(learning_curves(curves), picture)
    png = picture.read_bytes() if picture else None
    files["comparison.html"] = comparison_page(title, rows, texts, png)
    for name, content in files.items():
        write_text(output / name, content)
    names = [*files, *([picture.name] if picture else [])]
    print_facts({"written": f"{output}: {', '.join(names)}"})


def _renamed(arguments: Sequence[str]) -> list[str]:
    """Replaces `metrics=` by `columns=`, its name since `metrics` is a group of the train config."""
    return [
        f"columns={argument.partition('=')[2]}" if argument.startswith("metrics=") else argument
        for argument in arguments
    ]


def _text(column: str, value: Any) -> str:
    if value is None:
        return ""
    if column == "parameters":
        return f"{value:,}"
    return format_metric(column, value) if "/" in column or column == "seconds" else str(value)


def main() -> None:
    """Runs the console script `vgg-compare`."""
    run_verb(compare, "compare", _renamed)


if __name__ == "__main__":
    main()

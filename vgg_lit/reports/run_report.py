"""The report of a run: tables, figures as PNG files, and one HTML page with all of them."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.progress import track

from vgg_lit.analysis.errors import calibration, class_scores
from vgg_lit.analysis.style import save_figure
from vgg_lit.models.variants import network_name
from vgg_lit.reports.drawing import Drawing
from vgg_lit.reports.inspection import Inspection
from vgg_lit.run_selection import run_label
from vgg_lit.system.files import write_text
from vgg_lit.system.pages import PageSection, html_page
from vgg_lit.tables import format_metric, print_facts


def summary_sections(inspection: Inspection) -> list[PageSection]:
    """Returns the tables at the top of a report: the run, its result, and each class."""
    run, found = inspection.run, inspection.predictions
    accuracy = float(found.is_right_N.float().mean())
    losses = -found.probabilities_NK.gather(1, found.labels_N[:, None]).clamp(min=1e-38).log()
    facts = {
        "run": str(run.path),
        "settings": ", ".join(run.overrides.lines) or "the defaults",
        "checkpoint": inspection.checkpoint.name,
        "data": f"{inspection.datamodule.source.name}, {len(found.labels_N):,} {inspection.split} images",
        "network": f"{network_name(run.config['model'])}, "
        f"{sum(p.numel() for p in inspection.net.parameters()):,} parameters",
        f"{inspection.split}/acc": format_metric("acc", accuracy),
        f"{inspection.split}/loss": f"{float(losses.mean()):.4f}",
        "expected calibration error": f"{100 * calibration(found).error:.2f} points",
    }
    if "seconds" in run.metrics:
        facts["training"] = f"{run.metrics['seconds']:.0f} s"
    scores = class_scores(found)
    by_class = [
        {
            "class": inspection.classes[k],
            "images": f"{int(scores.images[k]):,}",
            "accuracy (recall)": f"{100 * float(scores.recall[k]):.1f} %",
            "precision": f"{100 * float(scores.precision[k]):.1f} %",
            "F1": f"{100 * float(scores.f1[k]):.1f} %",
        }
        for k in range(len(inspection.classes))
    ]
    table = [{"quantity": name, "value": value} for name, value in facts.items()]
    return [PageSection("Summary", table=table), PageSection("Classes", table=by_class)]


def picture_sections(drawing: Drawing, formats: Sequence[str]) -> list[PageSection]:
    """Draws figures and saves them as `figures/<name>.png` and in further formats; shows progress.

    Args:
        drawing: the figures.
        formats: further formats, such as `pdf`.

    Raises:
        InputError: a figure that was asked for cannot be drawn.
    """
    folder = drawing.inspection.run.path / "figures"
    sections = []
    for name in track(drawing.names, "drawing", transient=True, disable=not sys.stdout.isatty()):
        for picture in drawing.pictures([name]):
            file = folder / f"{picture.name}.png"
            for suffix in dict.fromkeys(["png", *formats]):
                save_figure(picture.figure, file.with_suffix(f".{suffix}"))
            sections.append(PageSection(picture.title, picture.text, file, picture.table))
    return sections


def write_report(
    folder: Path, sections: Sequence[PageSection], left_out: Mapping[str, str]
) -> None:
    """Writes `report.html` and prints its path."""
    reasons = [f"{name}: {why}" for name, why in left_out.items()]
    last = [PageSection("Left out", reasons)] if reasons else []
    file = folder / "report.html"
    write_text(file, html_page(f"Run {run_label(folder)}", [*sections, *last]))
    pictures = sum(section.picture is not None for section in sections)
    print_facts({"written": f"{folder / 'figures'} ({pictures} figures)"})
    print_facts({"written": str(file)})
    if reasons:
        print_facts({"left out": "; ".join(reasons)})

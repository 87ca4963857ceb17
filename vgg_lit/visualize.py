"""Draws a trained run: figures as PNG files, and a report with all of them in one HTML page.

python -m vgg_lit.visualize run=logs/runs/vgg11_bn/2026-01-31_12-00-00_1f3a
python -m vgg_lit.visualize run=<run> figures=[activations,attributions] image=shoe.png
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from vgg_lit.command import run_verb
from vgg_lit.config import check, check_model, to_plain
from vgg_lit.errors import InputError
from vgg_lit.files import replacing, write_text
from vgg_lit.schema import Visualize
from vgg_lit.tables import format_metric, print_facts
from vgg_lit.targets import trust
from vgg_lit.trained.network import Trained, find_trained

if TYPE_CHECKING:
    from vgg_lit.visualizing.inspection import Inspection
    from vgg_lit.visualizing.picture import Choice
    from vgg_lit.visualizing.report import Section


def visualize(config: DictConfig) -> None:
    """Writes `figures/*.png` and `report.html` into the run directory.

    Raises:
        InputError: no such run, checkpoint, layer or image, or a picture that was asked for by name
            and cannot be drawn.
    """
    settings = check(to_plain(config), Visualize)
    trust(settings.trusted_targets)
    (trained,) = find_trained([settings.run], settings.checkpoint)
    if settings.split == "val" and not trained.run.config["data"]["val_fraction"]:
        raise InputError("split=val: the run has no validation split; allowed: test")
    _check_what_is_looked_at(settings, trained)

    # What can be wrong with the command has been said: now Lightning, which takes seconds.
    from vgg_lit.hardware import count_devices, resolve_precision
    from vgg_lit.training.trainer import quieten_lightning
    from vgg_lit.visualizing.catalogue import DRAWN, missing_extra
    from vgg_lit.visualizing.inspection import Inspection
    from vgg_lit.visualizing.picture import Choice

    asked = settings.figures
    left_out = {name: why for name in asked or DRAWN if (why := missing_extra(name))}
    if asked and left_out:
        name, why = next(iter(left_out.items()))
        raise InputError(f"figures: {name} {why}")
    quieten_lightning()
    count_devices(settings.accelerator)
    precision, reason = resolve_precision(
        settings.precision or trained.run.config["trainer"]["precision"], settings.accelerator
    )
    inspection = Inspection(
        trained, settings.split, settings.batch_size, settings.accelerator, precision
    )
    name = inspection.datamodule.source.name
    print_facts(
        {
            "checkpoint": str(trained.checkpoint),
            "data": f"{name}, {settings.split}",
            "precision": f"{precision} ({reason})",
        }
    )
    choice = Choice(settings.images, settings.image, settings.layers, settings.embeddings)
    names = [name for name in DRAWN if name in (asked or DRAWN) and name not in left_out]
    sections = _numbers(inspection) + _draw(inspection, choice, names, left_out, bool(asked))
    _write_report(trained.run.path, sections, left_out)


def _check_what_is_looked_at(settings: Visualize, trained: Trained) -> None:
    """Whether there are such layers and such an image."""
    from vgg_lit.models.layers import check_layers

    if settings.layers:
        check_layers(check_model(trained.hyperparameters["model"], None), settings.layers)
    if settings.image:
        from vgg_lit.data.images import read_image

        shape = trained.preprocessing
        read_image(settings.image, shape.in_channels, shape.source_size)


def _draw(
    inspection: "Inspection",
    choice: "Choice",
    names: Sequence[str],
    left_out: dict[str, str],
    is_asked: bool,
) -> "list[Section]":
    """Draws and saves; adds to `left_out` what the run has not, unless that was asked for by name."""
    from rich.progress import track

    from vgg_lit.analysis.style import DPI
    from vgg_lit.visualizing.catalogue import DRAWN
    from vgg_lit.visualizing.report import Section

    sections = []
    for name in track(names, "drawing", transient=True):
        try:
            for picture in DRAWN[name](inspection, choice):
                file = inspection.run.path / "figures" / f"{picture.name}.png"
                with replacing(file) as temporary:
                    picture.figure.savefig(temporary, format="png", dpi=DPI)
                sections.append(Section(picture.title, picture.text, file))
        except InputError as error:
            if is_asked:
                raise InputError(f"figures: {name}: {error}") from error
            left_out[name] = str(error)
    return sections


def _numbers(inspection: "Inspection") -> "list[Section]":
    """The tables that open the report: what was run, how it ended, and each class."""
    from vgg_lit.analysis.errors import calibration, class_scores
    from vgg_lit.visualizing.report import Section

    run, found = inspection.run, inspection.predictions
    accuracy = float(found.is_right_N.float().mean())
    losses = -found.probabilities_NK.gather(1, found.labels_N[:, None]).clamp(min=1e-38).log()
    facts = {
        "run": str(run.path),
        "settings": ", ".join(_lines_of(run.path / "overrides.txt")) or "the defaults",
        "checkpoint": inspection.checkpoint.name,
        "data": f"{inspection.datamodule.source.name}, {len(found.labels_N):,} {inspection.split} images",
        "network": f"{sum(p.numel() for p in inspection.net.parameters()):,} parameters",
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
    return [Section("Summary", table=table), Section("Classes", table=by_class)]


def _lines_of(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []


def _write_report(folder: Path, sections: "list[Section]", left_out: dict[str, str]) -> None:
    from vgg_lit.visualizing.report import Section, html_page

    reasons = [f"{name}: {why}" for name, why in left_out.items()]
    last = [Section("Left out", reasons)] if reasons else []
    file = folder / "report.html"
    write_text(file, html_page(f"Run {folder.name}", [*sections, *last]))
    pictures = sum(section.picture is not None for section in sections)
    print_facts({"written": f"{folder / 'figures'} ({pictures} figures)"})
    print_facts({"written": str(file)})
    if reasons:
        print_facts({"left out": "; ".join(reasons)})


def main() -> None:
    """The console script `vgg-visualize`."""
    run_verb(visualize, "visualize")


if __name__ == "__main__":
    main()

"""Draws figures of a trained run and an HTML report with all of them.

python -m vgg_lit.visualize run=logs/runs/vgg11_bn/2026-01-31_12-00-00_1f3a
python -m vgg_lit.visualize run=<run> 'figures=[activations,attributions]' image=shoe.png
python -m vgg_lit.visualize run=latest formats=png,pdf,svg
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from vgg_lit.config.checks import check_section, to_plain
from vgg_lit.config.command import run_verb
from vgg_lit.config.locations import asked_places, located
from vgg_lit.config.schema import Visualize
from vgg_lit.errors import InputError
from vgg_lit.evaluation.trained import find_trained, has_validation_split
from vgg_lit.reports.choice_checks import check_layers_and_image
from vgg_lit.runs import Run
from vgg_lit.shipped_runs import check_outputs
from vgg_lit.system.overrides import listed_formats
from vgg_lit.tables import print_facts
from vgg_lit.targets import trust

if TYPE_CHECKING:
    from vgg_lit.reports.drawing import Drawing
    from vgg_lit.reports.picture import Picture


def visualize(config: DictConfig) -> None:
    """Writes `figures/`, the prediction for each image and `report.html` into the run directory.

    Raises:
        InputError: there is no such run, checkpoint, layer or image, or a figure named in
            `figures` cannot be drawn.
    """
    settings = check_section(to_plain(config), Visualize)
    trust(settings.trusted_targets)
    check_outputs(Run(settings.run))
    drawing = _drawing(config, settings)
    from vgg_lit.reports.run_report import picture_sections, summary_sections, write_report
    from vgg_lit.system.files import write_text

    print_facts(drawing.facts)
    inspection = drawing.inspection
    sections = summary_sections(inspection) + picture_sections(drawing, settings.formats)
    file = inspection.outcomes_file
    write_text(file, inspection.outcomes.to_csv(inspection.classes, inspection.names))
    print_facts({"written": f"{file} ({len(inspection.names)} images)"})
    write_report(inspection.run.path, sections, drawing.left_out)


def draw(config: DictConfig, typed: Sequence[str] | None = None) -> "list[Picture]":
    """Returns the figures with their titles and text; writes no file.

    Args:
        config: composed config.
        typed: overrides that composed it; None: those of Hydra.

    Raises:
        InputError: as for `visualize`.
    """
    settings = check_section(to_plain(config), Visualize)
    trust(settings.trusted_targets)
    drawing = _drawing(config, settings, typed)
    return list(drawing.pictures(drawing.names))


def _drawing(
    config: DictConfig, settings: Visualize, typed: Sequence[str] | None = None
) -> "Drawing":
    (trained,) = find_trained([Run(settings.run)], settings.checkpoint)
    if settings.split == "val" and not has_validation_split(trained.run.config["data"]):
        raise InputError("split=val: the run has no validation split; allowed: test")
    check_layers_and_image(settings, trained)
    # Lightning takes seconds to import, so it is imported after all checks.
    from vgg_lit.reports.drawing import Drawing

    places = asked_places(config, typed)
    return Drawing(trained, settings, located(trained.run.config, places)["data"])


def main() -> None:
    """Runs the console script `vgg-visualize`."""
    run_verb(visualize, "visualize", listed_formats)


if __name__ == "__main__":
    main()

"""Exports a trained run as files that run without this package.

python -m vgg_lit.export run=logs/runs/vgg11_bn/2026-01-31_12-00-00_1f3a
python -m vgg_lit.export run=<run> 'formats=[onnx,onnx_int8]' output=exported
python -m vgg_lit.predict model=exported images=shoe.png
"""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from vgg_lit.config.checks import check_section, to_plain
from vgg_lit.config.command import run_verb
from vgg_lit.config.locations import asked_places, located
from vgg_lit.config.schema import Export
from vgg_lit.evaluation.trained import find_trained
from vgg_lit.exporting.folder import NEEDED_PACKAGES, check_output
from vgg_lit.runs import Run
from vgg_lit.system.extras import require
from vgg_lit.system.overrides import listed_formats
from vgg_lit.targets import trust


def export(config: DictConfig, typed: Sequence[str] | None = None) -> Path:
    """Writes the files, prints a comparison of each program with PyTorch; returns the folder.

    Args:
        config: composed config.
        typed: overrides that composed it; None: those of Hydra.

    Raises:
        InputError: there is no such run or checkpoint, the folder cannot be written, the network cannot be
            exported, or the data cannot be read.
        TrainingError: the outputs of a program differ from the network's, or the disk is full.
    """
    settings = check_section(to_plain(config), Export)
    trust(settings.trusted_targets)
    for form in settings.formats:
        require("export", *NEEDED_PACKAGES[form], asked=f"formats=[{form}]")
    (trained,) = find_trained([Run(settings.run)], settings.checkpoint)
    output = Path(settings.output or trained.run.path / "export")
    check_output(output)

    # Lightning takes seconds to import, so it is imported after all checks.
    from vgg_lit.exporting.job import load_calibration_data, write_export

    datamodule = None
    if "onnx_int8" in settings.formats:
        data = located(trained.run.config, asked_places(config, typed))["data"]
        datamodule = load_calibration_data(trained, data)
    write_export(trained, output, settings, datamodule)
    return output


def main() -> None:
    """Runs the console script `vgg-export`."""
    run_verb(export, "export", listed_formats)


if __name__ == "__main__":
    main()

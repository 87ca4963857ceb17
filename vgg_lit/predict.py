"""Classifies images with a trained run or an exported model.

python -m vgg_lit.predict run=logs/runs/vgg11_bn/2026-01-31_12-00-00_1f3a images=shoe.png
python -m vgg_lit.predict weights=cifar10 images=photos
python -m vgg_lit.predict model=exported/model.onnx 'images=[shoe.png,photos]' invert=true
"""

import re
import sys
from pathlib import Path

from omegaconf import DictConfig

from vgg_lit.config.checks import check_section, to_plain
from vgg_lit.config.command import run_verb
from vgg_lit.config.schema import Predict
from vgg_lit.errors import InputError
from vgg_lit.evaluation.prediction import Predictor, classify, find_images, load_trained
from vgg_lit.evaluation.prediction_report import report_predictions
from vgg_lit.evaluation.trained import find_trained
from vgg_lit.shipped_runs import find_networks
from vgg_lit.system.files import check_writable_file, expanded
from vgg_lit.targets import trust

OF_EXPORTED = {"checkpoint": ("best",), "precision": (None,), "accelerator": ("auto", "cpu")}


def predict(config: DictConfig) -> None:
    """Writes the likeliest classes of each image to a CSV file and prints them.

    Marks images whose pixel statistics are unlike those of the training images. Reports unreadable
    images after the others are classified and written.

    Raises:
        InputError: there is no such run, model or image, or an image cannot be read.
    """
    settings = check_section(to_plain(config), Predict)
    trust(settings.trusted_targets)
    file, output = _find_network(settings)
    check_writable_file(output, f"output={output}")
    paths = find_images(settings.images).paths
    predictor = _load(file, settings)
    predictions, unreadable = classify(
        paths, predictor, settings.batch_size, settings.top_k, settings.invert
    )
    if predictions:
        report_predictions(predictions, output, settings.invert)
    if unreadable:
        others = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
        raise InputError(
            f"{unreadable[0]}{others}; {len(predictions)} of {len(paths)} images were classified"
        )


def _find_network(settings: Predict) -> tuple[Path, Path]:
    """Returns the file of the network, and the file for its predictions.

    Raises:
        InputError: there is no such file, or a setting does not apply to an exported model.
    """
    given = [settings.run, settings.weights, settings.exported]
    if sum(one is not None for one in given) != 1:
        raise InputError(
            "run: set exactly one of run=<run directory>, weights=<name> and model=<exported model>"
        )
    if settings.exported is None:
        (run,) = find_networks(settings.run, settings.weights)
        output = Path(settings.output or run.outputs / "predictions.csv")
        return run.checkpoint(settings.checkpoint), output
    for key, allowed in OF_EXPORTED.items():
        if getattr(settings, key) not in allowed:
            raise InputError(
                f"{key}={getattr(settings, key)}: allowed only with run=<run>; an exported model runs on "
                "the CPU as it is"
            )
    from vgg_lit.exporting.model import find_program

    program = find_program(expanded(str(settings.exported)))
    return program, Path(settings.output or program.with_name("predictions.csv"))


def _load(file: Path, settings: Predict) -> Predictor:
    if settings.exported is None:
        run = find_networks(settings.run, settings.weights)
        (trained,) = find_trained(run, settings.checkpoint)
        return load_trained(trained, settings.accelerator, settings.precision)
    from vgg_lit.exporting.model import load_exported

    return load_exported(file)


def main() -> None:
    """Runs the console script `vgg-predict`."""
    # `model` is also a config group, so Hydra would read the file name as an option of it.
    sys.argv[1:] = [re.sub(r"^model=", "exported=", argument) for argument in sys.argv[1:]]
    run_verb(predict, "predict")


if __name__ == "__main__":
    main()

"""All figures of a run, by their names in `visualize figures=[...]`."""

from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec

from vgg_lit.analysis import charts
from vgg_lit.analysis.augmented_images import augmented_images
from vgg_lit.analysis.history import remark
from vgg_lit.data.custom_datamodule import CustomDataModule
from vgg_lit.errors import InputError
from vgg_lit.reports.inspection import Inspection
from vgg_lit.reports.network_pictures import (
    attributions,
    embeddings,
    filters,
    maps,
    receptive_field,
)
from vgg_lit.reports.picture import Choice, Picture
from vgg_lit.reports.prediction_pictures import (
    classes,
    confusion,
    galleries,
    pairs,
    reliability,
    wrong_labels,
)
from vgg_lit.runs import Run

EPOCHS = 6  # shown by the figure of the augmentation

EXTRA = {"embeddings": "sklearn", "attributions": "captum"}
"""Figure -> module that it needs from the extra `visualize`."""


def missing_extra(name: str) -> str | None:
    """Returns the reason why a figure cannot be drawn with the installed packages; None if it can."""
    module = EXTRA.get(name)
    if module is None or find_spec(module):
        return None
    return f'needs {module}: pip install "vgg_lit[visualize]"'


def history(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Yields the curves of the training, with remarks on over- and underfitting."""
    if not run.history.epochs:
        raise InputError("the run has no metrics.csv")
    kind, smoothing = _loss(run.run)
    remarks = remark(run.history, run.training.sizes["val"], smoothing)
    if kind != "CrossEntropy":
        remarks.append(f"Training loss is {kind}, validation loss is cross-entropy.")
    yield Picture("history", "Training history", remarks, charts.history_chart(run.history))


def _loss(run: Run) -> tuple[str, float]:
    """Returns the class name of the loss of a run, and its label smoothing.

    Raises:
        InputError: the config of the run has no loss, or its label smoothing is not a number.
    """
    loss = run.config.get("loss")
    if not isinstance(loss, Mapping) or not isinstance(loss.get("_target_"), str):
        raise InputError(f"{run.config_file}: has no loss._target_")
    smoothing = loss.get("label_smoothing") or 0.0
    if not isinstance(smoothing, int | float):
        shown = str(smoothing)[:50]
        raise InputError(f"{run.config_file}: loss.label_smoothing={shown}: is not a number")
    return loss["_target_"].rpartition(".")[2], float(smoothing)


def augmentation(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Yields some training images as augmented in the first epochs."""
    if isinstance(run.training, CustomDataModule):
        raise InputError("the data module augments its images itself")
    figure = augmented_images(run.training, EPOCHS, "Training images, original and augmented")
    text = "One row per image, one column per epoch."
    yield Picture("augmentation", "Augmentation", [text], figure)


DRAWN: Mapping[str, Callable[[Inspection, Choice], Iterator[Picture]]] = {
    "history": history,
    "confusion": confusion,
    "classes": classes,
    "pairs": pairs,
    "galleries": galleries,
    "wrong_labels": wrong_labels,
    "calibration": reliability,
    "filters": filters,
    "activations": maps,
    "embeddings": embeddings,
    "attributions": attributions,
    "receptive_field": receptive_field,
    "augmentation": augmentation,
}
"""Functions that draw the figures, in the order of the report."""

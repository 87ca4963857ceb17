"""Every picture of a run, by the name that `visualize figures=[...]` knows it under."""

from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec

from vgg_lit.analysis import charts
from vgg_lit.analysis.history import remark
from vgg_lit.errors import InputError
from vgg_lit.reports.augmented_images import draw
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
)

EPOCHS = 6  # of the augmentation

EXTRA = {"embeddings": "sklearn", "attributions": "captum"}
"""What a picture needs from the extra `visualize`."""


def missing_extra(name: str) -> str | None:
    """Why a picture cannot be drawn with what is installed; None if it can."""
    module = EXTRA.get(name)
    if module is None or find_spec(module):
        return None
    return f"needs {module}: pip install 'vgg_lit[visualize]'"


def history(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Curves of the training, and what they say."""
    if not run.history.epochs:
        raise InputError("the run kept no metrics.csv")
    smoothing = float(run.run.config.get("label_smoothing") or 0)
    said = remark(run.history, run.training.sizes["val"], smoothing)
    yield Picture("history", "Training history", said, charts.history_chart(run.history))


def augmentation(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Some training images as the network met them in the first epochs."""
    figure = draw(run.training, EPOCHS, "Training images, as they are and augmented")
    text = "A row an image, a column an epoch."
    yield Picture("augmentation", "Augmentation", [text], figure)


DRAWN: Mapping[str, Callable[[Inspection, Choice], Iterator[Picture]]] = {
    "history": history,
    "confusion": confusion,
    "classes": classes,
    "pairs": pairs,
    "galleries": galleries,
    "calibration": reliability,
    "filters": filters,
    "activations": maps,
    "embeddings": embeddings,
    "attributions": attributions,
    "receptive_field": receptive_field,
    "augmentation": augmentation,
}
"""In the order of the report."""

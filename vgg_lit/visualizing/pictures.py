"""Every picture of a run, by the name that `visualize figures=[...]` knows it under."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from matplotlib.figure import Figure
from torch import Tensor

from vgg_lit.analysis import charts, figures
from vgg_lit.analysis.errors import calibration, class_scores, confused_pairs, confusion_matrix
from vgg_lit.analysis.features import extract, first_convolutions
from vgg_lit.analysis.history import remark
from vgg_lit.analysis.receptive_field import receptive_fields_of
from vgg_lit.errors import InputError
from vgg_lit.models.layers import convolutions
from vgg_lit.models.vgg import VGG
from vgg_lit.visualizing.augmented_images import draw
from vgg_lit.visualizing.inspection import Inspection, outcome

PAIRS, EXAMPLES = 6, 6
ATTRIBUTED = 6
EPOCHS = 6  # of the augmentation

EXTRA = {"embeddings": "sklearn", "attributions": "captum"}
"""What a picture needs from the extra `visualize`."""


@dataclass(frozen=True)
class Picture:
    """A figure and what is said of it.

    Attributes:
        name: of the file, without suffix.
        title: of the section of the report.
        text: below it, a paragraph an item.
        figure: the drawing.
    """

    name: str
    title: str
    text: Sequence[str]
    figure: Figure


@dataclass(frozen=True)
class Choice:
    """What of a run is shown.

    Attributes:
        images: in each gallery.
        image: file to look into the network with; None: images of the split.
        layers: whose maps are shown; None: the first convolution of each block.
        embeddings: images in the maps of embeddings.
    """

    images: int
    image: str | None
    layers: Sequence[str] | None
    embeddings: int


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


def confusion(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """The confusion matrix."""
    matrix_KK = confusion_matrix(run.predictions)
    title = f"Confusion matrix: {len(run.predictions.labels_N):,} {run.split} images"
    figure = charts.confusion_chart(matrix_KK.numpy(), run.classes, title)
    yield Picture("confusion", "Confusion matrix", ["Rows are true classes."], figure)


def classes(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Precision, recall and F1 of each class."""
    scores = class_scores(run.predictions)
    figure = charts.class_scores_chart(
        run.classes, scores.precision.numpy(), scores.recall.numpy(), scores.f1.numpy()
    )
    text = "The accuracy on the images of a class is its recall. Figures are in the table above."
    yield Picture("classes", "Scores by class", [text], figure)


def pairs(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """The pairs of classes that are confused most, with examples."""
    matrix_KK = confusion_matrix(run.predictions)
    rows = []
    for true, predicted, count in confused_pairs(matrix_KK, PAIRS):
        positions = run.predictions.confused(true, predicted, EXAMPLES)
        label = [
            run.classes[true],
            f"taken for {run.classes[predicted]}",
            f"{count} of {int(matrix_KK[true].sum())}",
        ]
        confidence = [f"{100 * p:.0f} %" for p in run.predictions.confidence_N[positions].tolist()]
        rows.append((label, run.shown(positions), confidence))
    title = "Most confused pairs: examples with the confidence of the error"
    figure = figures.image_rows(rows, title)
    text = "The most confident errors of each pair."
    yield Picture("pairs", "Most confused pairs", [text], figure)


def galleries(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Right, wrong and most confidently wrong predictions."""
    found = run.predictions
    spread = "Spread evenly over all of them, so that they are typical."
    for name, title, positions, text in (
        ("right", "Right predictions", found.right(choice.images), spread),
        ("wrong", "Wrong predictions", found.wrong(choice.images), spread),
        (
            "worst",
            "Most confident wrong predictions",
            found.worst(choice.images),
            "Among them are the wrong labels of a data set, if it has any.",
        ),
    ):
        captions = [list(outcome(run, int(position))) for position in positions]
        meaning = "class and confidence" if name == "right" else "class, → prediction, confidence"
        figure = figures.gallery(run.shown(positions), captions, f"{title}: {meaning}")
        yield Picture(f"gallery_{name}", title, [text], figure)


def reliability(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Accuracy against confidence."""
    found = calibration(run.predictions)
    figure = charts.calibration_chart(
        found.edges.numpy(),
        found.images.numpy(),
        found.confidence.numpy(),
        found.accuracy.numpy(),
        found.error,
    )
    mean = float(run.predictions.confidence_N.mean() - run.predictions.is_right_N.float().mean())
    side = "over" if mean > 0 else "under"
    text = (
        f"Mean confidence is {100 * abs(mean):.1f} points {side} accuracy; small bins say little."
    )
    yield Picture("calibration", "Calibration", [text], figure)


def filters(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """The kernels that see the pixels."""
    found = convolutions(run.net)
    if not found:
        raise InputError("the network has no convolution")
    name, layer = next(iter(found.items()))
    weights_CDHW = layer.weight.detach().float().cpu().numpy()
    count, _, height, width = weights_CDHW.shape
    figure = figures.filter_grid(weights_CDHW, f"{name}: {count} filters of {height} x {width}")
    text = "All filters share one scale: red or bright is above 0, blue or dark below."
    yield Picture("filters", "First-layer filters", [text], figure)


def maps(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """What some layers make of one image."""
    x_1CHW, what = _one_image(run, choice)
    names = list(choice.layers or first_convolutions(run.net))
    with torch.no_grad():
        found = extract(run.net, x_1CHW, names)
    flat = [name for name, one in found.items() if one.ndim != 4]
    if flat:
        raise InputError(f"layers: {flat[0]} has no maps; choose layers before the first fc layer")
    arrays = {name: one[0].float().cpu().numpy() for name, one in found.items()}
    title = f"Activation maps of {what}: the channels that respond most, with their numbers"
    figure = figures.activation_maps(run.to_pictures(x_1CHW)[0], arrays, title)
    text = (
        "What each layer gives, before any batch norm or ReLU behind it. Red is above 0, blue below;"
        " a layer without negative values goes from dark to bright."
    )
    yield Picture("activations", "Activation maps", [text], figure)


def embeddings(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Images in the plane, by the features before the last layer."""
    from vgg_lit.analysis.embeddings import pca, tsne

    features_NF, positions = run.features(choice.embeddings)
    if len(positions) < 4:
        raise InputError("at least 4 images are needed")
    labels = run.predictions.labels_N[positions].numpy()
    images = run.shown(positions)
    points, share = pca(features_NF.float().numpy())
    what = f"{len(positions):,} {run.split} images by their {features_NF.shape[1]} features"
    for name, title, places, text in (
        (
            "embeddings_pca",
            "Embeddings: principal components",
            points,
            f"The two components hold {100 * share:.0f} % of the variance.",
        ),
        (
            "embeddings_tsne",
            "Embeddings: t-SNE",
            tsne(features_NF.float().numpy()),
            "Neighbours are alike; sizes of clusters and distances between them mean nothing.",
        ),
    ):
        figure = charts.embedding_chart(places, labels, run.classes, images, f"{title} of {what}")
        yield Picture(name, title, [text], figure)


def attributions(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Grad-CAM and integrated gradients of predicted classes."""
    from vgg_lit.analysis.attributions import grad_cam, grad_cam_layer, integrated_gradients

    if choice.image:
        x_BCHW, what = _one_image(run, choice)
        labels = [[what]]
    else:
        found = run.predictions
        half = ATTRIBUTED // 2
        positions = torch.cat([found.right(half), found.worst(ATTRIBUTED - half)])
        x_BCHW = run.inputs(positions)
        labels = [list(outcome(run, int(position))) for position in positions]
    with torch.no_grad():
        classes_B = run.net(x_BCHW).argmax(dim=1)
    layer = choice.layers[-1] if choice.layers else grad_cam_layer(run.net, x_BCHW)
    black = run.preprocessing.normalize(torch.zeros_like(x_BCHW[:1]))
    heat = {
        f"Grad-CAM, {layer}": grad_cam(run.net, x_BCHW, classes_B, layer),
        "integrated gradients": integrated_gradients(run.net, x_BCHW, classes_B, black),
    }
    figure = figures.attribution_rows(
        run.to_pictures(x_BCHW),
        labels,
        {name: one.cpu().numpy() for name, one in heat.items()},
        "What speaks for the predicted class, alone and over the image",
    )
    text = (
        f"Grad-CAM of {layer}, from dark to bright, says no more than where on its map, which may be"
        " coarse; layers=[...] chooses another. Integrated gradients start from a black image: red"
        " pixels speak for the class, blue ones against it."
    )
    yield Picture("attributions", "Attributions", [text], figure)


def receptive_field(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """What one unit of the last layer of each block sees."""
    if not isinstance(run.net, VGG):
        raise InputError("only of a VGG network")
    x_1CHW, _ = _one_image(run, choice)
    size = x_1CHW.shape[-1]
    fields = {}
    for name, field in receptive_fields_of(run.net, size).items():
        is_asked = name in choice.layers if choice.layers else name.endswith("_pool")
        if is_asked and name.startswith("block"):
            # same padding and pools of two keep the units on a regular grid
            centre = (size // field.jump // 2 + 0.5) * field.jump
            fields[name] = (centre, float(field.side))
    figure = figures.receptive_field_chart(
        run.to_pictures(x_1CHW)[0], fields, "What one unit in the middle of each map sees"
    )
    text = "The square is its receptive field; where it reaches beyond the image there is padding."
    yield Picture("receptive_field", "Receptive field", [text], figure)


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


def _one_image(run: Inspection, choice: Choice) -> tuple[Tensor, str]:
    """The image to look into the network with, and how it is called."""
    if choice.image:
        return run.input_of(choice.image), choice.image
    position = int(run.predictions.right(1)[:1].sum())  # the first right one; else the first
    return run.inputs([position]), f"{run.split} image {position}, {next(outcome(run, position))}"

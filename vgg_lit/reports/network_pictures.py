"""Figures of a network: filters, activation maps, embeddings, attributions and receptive fields."""

from collections.abc import Iterator

import torch
from torch import Tensor

from vgg_lit.analysis import charts, figures
from vgg_lit.analysis.features import extract, first_convolutions
from vgg_lit.analysis.receptive_field import receptive_fields_of
from vgg_lit.errors import InputError
from vgg_lit.models.layers import convolutions
from vgg_lit.models.vgg import VGG
from vgg_lit.reports.inspection import Inspection, outcome
from vgg_lit.reports.picture import Choice, Picture

ATTRIBUTED = 6


def filters(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Yields the kernels of the first convolution."""
    found = convolutions(run.net)
    if not found:
        raise InputError("the network has no convolution")
    name, layer = next(iter(found.items()))
    weights_CDHW = layer.weight.detach().float().cpu().numpy()
    count, _, height, width = weights_CDHW.shape
    figure = figures.filter_grid(weights_CDHW, f"{name}: {count} filters of {height} x {width}")
    text = "All filters share one scale: red or bright is above 0, blue or dark is below."
    yield Picture("filters", "First-layer filters", [text], figure)


def maps(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Yields the activation maps of some layers for one image."""
    x_1CHW, what = _one_image(run, choice)
    names = list(choice.layers or first_convolutions(run.net))
    with torch.no_grad():
        found = extract(run.net, x_1CHW, names)
    flat = [name for name, one in found.items() if one.ndim != 4]
    if flat:
        raise InputError(f"layers: {flat[0]} has no maps; choose layers before the first fc layer")
    arrays = {name: one[0].float().cpu().numpy() for name, one in found.items()}
    title = f"Activation maps of {what}: strongest channels with their numbers"
    figure = figures.activation_maps(run.to_pictures(x_1CHW)[0], arrays, title)
    text = (
        "The output of each layer, before a following batch norm or ReLU. Red is above 0, blue is below;"
        " a layer without negative values is drawn from dark to bright."
    )
    yield Picture("activations", "Activation maps", [text], figure)


def embeddings(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Yields PCA and t-SNE projections of the features before the last layer."""
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
            f"The two components explain {100 * share:.0f} % of the variance.",
        ),
        (
            "embeddings_tsne",
            "Embeddings: t-SNE",
            tsne(features_NF.float().numpy()),
            "Neighbours are similar; cluster sizes and distances between clusters have no meaning.",
        ),
    ):
        figure = charts.embedding_chart(places, labels, run.classes, images, f"{title} of {what}")
        yield Picture(name, title, [text], figure)


def attributions(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Yields Grad-CAM and integrated gradients of the predicted classes."""
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
        "Evidence for the predicted class, alone and over the image",
    )
    text = (
        f"Grad-CAM, from dark to bright, has the resolution of the map of {layer}, which may be coarse;"
        " layers=[...] selects another layer. Integrated gradients start from a black image: red pixels"
        " are evidence for the class, blue pixels against it."
    )
    yield Picture("attributions", "Attributions", [text], figure)


def receptive_field(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Yields the receptive field of one unit of the last layer of each block."""
    if not isinstance(run.net, VGG):
        raise InputError("only available for VGG networks")
    x_1CHW, _ = _one_image(run, choice)
    size = x_1CHW.shape[-1]
    fields = {}
    for name, field in receptive_fields_of(run.net, size).items():
        is_asked = name in choice.layers if choice.layers else name.endswith("_pool")
        if is_asked and name.startswith("block"):
            # same padding and pools of two keep the units on a regular grid
            centre = (size // field.jump // 2 + 0.5) * field.jump
            fields[name] = (centre, float(field.side))
    if not fields:
        raise InputError("layers: only layers of blocks have a receptive field to draw")
    figure = figures.receptive_field_chart(
        run.to_pictures(x_1CHW)[0], fields, "Receptive field of the centre unit of each map"
    )
    text = "The square is the receptive field; outside the image it covers padding."
    yield Picture("receptive_field", "Receptive field", [text], figure)


def _one_image(run: Inspection, choice: Choice) -> tuple[Tensor, str]:
    """Returns the input image for figures of one image, and its description."""
    if choice.image:
        return run.input_of(choice.image), choice.image
    position = int(
        run.predictions.right(1)[:1].sum()
    )  # the first correctly classified image, else the first
    return run.inputs([position]), f"{run.split} image {position}, {next(outcome(run, position))}"

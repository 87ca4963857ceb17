"""Writers of TensorBoard events: graph, histograms, figures, curves, norms and embeddings."""

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter

from vgg_lit.analysis.embeddings import embed
from vgg_lit.analysis.errors import Predictions, confusion_matrix
from vgg_lit.callbacks.validation_outcome import Mistakes
from vgg_lit.models.layers import convolutions, named_layers
from vgg_lit.system.terminal import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 64  # bins of a histogram
MOST_CURVES = 20  # most classes with a precision-recall curve
LARGEST_SPRITE = 48  # largest side of an image in the projector, pixels


def named_weights(net: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yields the trainable weights of convolutions and fully connected layers, with layer names."""
    for name, module in named_layers(net).items():
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.ndim > 1 and weight.requires_grad:
            yield name, weight


def write_graph(writer: SummaryWriter, net: nn.Module, x_1CHW: Tensor) -> None:
    """Writes the graph of a network in evaluation mode, traced on a copy."""
    twin = copy.deepcopy(net).cpu().float().eval()
    twin._compiled_call_impl = None  # compiled code cannot be traced
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # deprecation of tracing, and untraceable code
        writer.add_graph(twin, torch.zeros_like(x_1CHW, device="cpu", dtype=torch.float32))


def write_histograms(
    writer: SummaryWriter, kind: str, tensors: Mapping[str, Tensor], step: int
) -> None:
    """Writes a histogram of the values of each layer."""
    for name, values in tensors.items():
        _write_histogram(writer, f"{kind}/{name}", values.detach(), step)


def _write_histogram(writer: SummaryWriter, tag: str, values: Tensor, step: int) -> None:
    """Counts with torch, which is many times faster than `SummaryWriter.add_histogram`."""
    flat = values.float().cpu().flatten()
    low, high = (float(value) for value in flat.aminmax())
    if not np.isfinite([low, high]).all():
        return
    high = max(high, low + 1e-12)
    counts = torch.histc(flat, BINS, low, high)
    writer.add_histogram_raw(
        tag,
        min=low,
        max=high,
        num=flat.numel(),
        sum=float(flat.sum()),
        sum_squares=float(flat.square().sum()),
        bucket_limits=torch.linspace(low, high, BINS + 1)[1:].tolist(),
        bucket_counts=counts.tolist(),
        global_step=step,
    )


def write_filters(writer: SummaryWriter, net: nn.Module, step: int) -> None:
    """Writes a figure of the kernels of the first convolution."""
    from vgg_lit.analysis.figures import filter_grid

    for name, layer in list(convolutions(net).items())[:1]:
        weights_CDHW = layer.weight.detach().float().cpu().numpy()
        _write_figure(
            writer, "visual/filters", filter_grid(weights_CDHW, f"{name}, common scale"), step
        )


def write_batch(
    writer: SummaryWriter, pictures_BCHW: Tensor, targets: Tensor, classes: Sequence[str]
) -> None:
    """Writes the training images fed to the network; targets are labels, or shares of classes."""
    from vgg_lit.analysis.figures import gallery

    if targets.ndim == 1:
        captions = [[classes[label]] for label in targets.tolist()]
    else:
        shares, labels = targets.topk(min(2, targets.shape[1]))
        captions = [
            [f"{classes[k]} {share:.2f}" for k, share in zip(*pair, strict=True) if share > 0]
            for pair in zip(labels.tolist(), shares.tolist(), strict=True)
        ]
    title = "First training batch, as fed to the network"
    _write_figure(writer, "visual/batch", gallery(_to_arrays(pictures_BCHW), captions, title), 0)


def write_confusion(
    writer: SummaryWriter, found: Predictions, classes: Sequence[str], step: int
) -> None:
    """Writes a figure of the confusion matrix."""
    from vgg_lit.analysis.charts import confusion_chart

    title = f"Confusion matrix: {len(found.labels_N):,} validation images"
    figure = confusion_chart(confusion_matrix(found).numpy(), classes, title)
    _write_figure(writer, "visual/confusion", figure, step)


def write_mistakes(
    writer: SummaryWriter,
    mistakes: Mistakes,
    pictures_NCHW: Tensor,
    classes: Sequence[str],
    step: int,
) -> None:
    """Writes a figure of the most confident wrong predictions."""
    from vgg_lit.analysis.figures import gallery

    rows = zip(
        mistakes.labels_N.tolist(),
        mistakes.predicted_N.tolist(),
        mistakes.confidence_N.tolist(),
        strict=True,
    )
    captions = [[classes[k], f"→ {classes[taken]}", f"{100 * p:.0f} %"] for k, taken, p in rows]
    title = "Most confident wrong predictions: class, → prediction, confidence"
    _write_figure(writer, "visual/worst", gallery(_to_arrays(pictures_NCHW), captions, title), step)


def _to_arrays(pictures_NCHW: Tensor) -> np.ndarray:
    return pictures_NCHW.movedim(1, -1).cpu().numpy()


def _write_figure(writer: SummaryWriter, tag: str, figure: "Figure", step: int) -> None:
    """Writes a figure as an image, without pyplot, which `SummaryWriter.add_figure` would import."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from vgg_lit.analysis.style import DPI, without_font_warnings

    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    with without_font_warnings():
        canvas.draw()
    writer.add_image(tag, np.asarray(canvas.buffer_rgba())[..., :3], step, dataformats="HWC")


def write_curves(
    writer: SummaryWriter, found: Predictions, classes: Sequence[str], step: int
) -> None:
    """Writes precision-recall curves, one class against all others, for the first classes."""
    for label, name in list(enumerate(classes))[:MOST_CURVES]:
        is_class_N = found.labels_N == label
        writer.add_pr_curve(
            f"pr/{visible(name)}", is_class_N, found.probabilities_NK[:, label], step
        )


def write_norms(writer: SummaryWriter, kind: str, norms: Mapping[str, float], step: int) -> None:
    """Writes the norm of each layer and the total norm."""
    for name, value in norms.items():
        writer.add_scalar(f"{kind}/{name}", value, step)
    writer.add_scalar(f"{kind}/total", float(np.linalg.norm(list(norms.values()))), step)


def write_embeddings(
    writer: SummaryWriter,
    net: nn.Module,
    x_NCHW: Tensor,
    pictures_NCHW: Tensor,
    labels: Sequence[str],
    step: int,
) -> None:
    """Writes the features before the last layer with their images, for the projector."""
    side = min(LARGEST_SPRITE, pictures_NCHW.shape[-1])
    sprites = F.interpolate(pictures_NCHW, (side, side), mode="bilinear", antialias=True)
    if sprites.shape[1] == 1:
        sprites = sprites.expand(-1, 3, -1, -1)
    features = torch.cat([embed(net, x_BCHW).float().cpu() for x_BCHW in x_NCHW.split(128)])
    rows = list(map(visible, labels))  # a name with a line end would be two rows of the table
    writer.add_embedding(features, rows, sprites.cpu(), step, tag="validation")

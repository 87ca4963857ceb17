"""Style transfer: a picture with the content of one image and the style of another.

Shape suffixes: B images, C channels, H x W pixels.

Source: Gatys et al. 2016, https://doi.org/10.1109/CVPR.2016.265.
"""

from collections.abc import Callable, Sequence

import torch
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from torch import Tensor

from vgg_lit.analysis.features import Features, gram, relative_error, style_error
from vgg_lit.errors import InputError
from vgg_lit.models.vgg import VGG
from vgg_lit.system.progress_bars import progress_bar


def transfer_loss(
    net: VGG,
    content_BCHW: Tensor,
    style_BCHW: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    content_layer: str,
    style_layers: Sequence[str],
    content_weight: float = 1.0,
    style_weight: float = 1.0,
) -> Callable[[Tensor], Tensor]:
    """Returns the loss of a picture: its distance in content and in style.

    Args:
        net: trained network whose feature maps are compared.
        content_BCHW: image that gives the content, pixels in 0..1.
        style_BCHW: image that gives the style, pixels in 0..1.
        mean: mean of each input channel of the network.
        std: standard deviation of each input channel of the network.
        content_layer: layer whose maps are compared.
        style_layers: layers whose Gram matrices are compared.
        content_weight: weight of the content loss.
        style_weight: weight of the style loss.

    Raises:
        InputError: the network has no such layer, or its output is not a map.
    """
    look = Features(net, [content_layer, *style_layers])
    mean_C11 = torch.tensor(mean, device=content_BCHW.device)[:, None, None]
    std_C11 = torch.tensor(std, device=content_BCHW.device)[:, None, None]
    with torch.no_grad():
        content = look((content_BCHW - mean_C11) / std_C11)[content_layer]
        style_maps = look((style_BCHW - mean_C11) / std_C11)
        for name, found in {content_layer: content, **style_maps}.items():
            if found.ndim != content_BCHW.ndim:
                raise InputError(f"{name}: its output is not a map; allowed: layers of blocks")
        grams = {name: gram(style_maps[name]) for name in style_layers}

    def loss(picture_BCHW: Tensor) -> Tensor:
        maps = look((picture_BCHW - mean_C11) / std_C11)
        of_content = relative_error(maps[content_layer], content)
        of_style = style_error(maps, grams)
        return content_weight * of_content + style_weight * of_style

    return loss


def descend(
    start_BCHW: Tensor, loss: Callable[[Tensor], Tensor], steps: int, lr: float
) -> tuple[Tensor, float, float]:
    """Descends a loss over the pixels of a picture with Adam; shows progress.

    Pixels are clamped to 0..1 after each step.

    Returns:
        The picture, the loss at the start and the loss at the end.
    """
    picture_BCHW = start_BCHW.clone().requires_grad_()
    optimizer = torch.optim.Adam([picture_BCHW], lr=lr)
    columns = (
        TextColumn("painting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4g}"),
        TimeRemainingColumn(),
    )
    with torch.no_grad():
        first = float(loss(picture_BCHW))
    with progress_bar(*columns) as progress:
        task = progress.add_task("", total=steps, loss=first)
        for _ in range(steps):
            optimizer.zero_grad()
            value = loss(picture_BCHW)
            value.backward()
            optimizer.step()
            with torch.no_grad():
                picture_BCHW.clamp_(0, 1)
            progress.update(task, advance=1, loss=float(value.detach()))
    with torch.no_grad():
        return picture_BCHW.detach(), first, float(loss(picture_BCHW))

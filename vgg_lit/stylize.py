"""Paints one picture in the style of another, as a trained network sees both.

python -m vgg_lit.stylize content=me.jpg style=painting.jpg weights=logs/runs/vgg16_bn/2026-01-31_12-00-00_1f3a
python -m vgg_lit.stylize content=me.jpg style=painting.jpg weights=torchvision variant=vgg19 size=384

Source: Gatys et al. 2016, https://doi.org/10.1109/CVPR.2016.265.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from vgg_lit.command import run_verb
from vgg_lit.config import check, to_plain
from vgg_lit.errors import InputError
from vgg_lit.files import replacing
from vgg_lit.runs import Run
from vgg_lit.schema import Stylize
from vgg_lit.tables import print_facts

if TYPE_CHECKING:
    from torch import Tensor

    from vgg_lit.models import VGG

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of the channels that torchvision's weights were trained with."""


def stylize(config: DictConfig) -> None:
    """Writes the picture, and prints how far the loss came down.

    Raises:
        InputError: a picture or the weights cannot be read, or the network has no such layer.
    """
    settings = check(to_plain(config), Stylize)
    output = Path(settings.output)
    if output.suffix not in FORMATS:
        raise InputError(f"output={output}: the name of the picture ends in {', '.join(FORMATS)}")
    layers = (settings.content_layer, *settings.style_layers)
    if flat := [name for name in layers if name.startswith("fc")]:
        raise InputError(f"{flat[0]}: has no map; allowed: layers of blocks, such as block4_conv2")

    from vgg_lit.data.images import read_image
    from vgg_lit.hardware import count_devices

    kind, _ = count_devices(settings.accelerator)
    device = {"gpu": "cuda"}.get(kind, kind)
    net, mean, std = trained_vgg(settings.weights, settings.variant)
    content_BCHW, style_BCHW = (
        read_image(path, net.in_channels, settings.size)[None].to(device) / 255
        for path in (settings.content, settings.style)
    )
    loss = transfer_loss(settings, net.to(device), content_BCHW, style_BCHW, mean, std)
    picture_BCHW, first, last = descend(content_BCHW, loss, settings.steps, settings.lr)
    write_picture(output, picture_BCHW[0])
    print_facts(
        {
            "loss": f"{first:.4g} to {last:.4g}, {first / last:.1f} times less",
            "written": f"{output} ({settings.size} x {settings.size} pixels)",
        }
    )


def trained_vgg(weights: str, variant: str) -> tuple["VGG", Sequence[float], Sequence[float]]:
    """A trained network, and mean and deviation of the channels of its input, pixels in 0..1.

    Args:
        weights: a run, a checkpoint of ours, `torchvision`, or a file with a state_dict of its kind.
        variant: whose weights torchvision's are.

    Raises:
        InputError: there are no such weights, or they are of another kind of network.
    """
    from vgg_lit.checkpoints.storage import read_checkpoint
    from vgg_lit.models import VGG
    from vgg_lit.trained.pretrained import trained_network

    path = Path(weights)
    try:
        checkpoint = Run(path).checkpoint() if path.is_dir() else path
        net = trained_network(weights, {"variant": variant})
    except InputError as error:
        raise InputError(f"weights={weights}: {error}") from error
    if not isinstance(net, VGG):
        raise InputError(f"weights={weights}: of a {type(net).__name__}; allowed: those of a VGG")
    if checkpoint.suffix == ".ckpt":
        preprocessing = read_checkpoint(checkpoint)["hyper_parameters"]["preprocessing"]
        return net, preprocessing["mean"], preprocessing["std"]
    return net, *IMAGENET


def transfer_loss(
    settings: Stylize,
    net: "VGG",
    content_BCHW: "Tensor",
    style_BCHW: "Tensor",
    mean: Sequence[float],
    std: Sequence[float],
) -> Callable[["Tensor"], "Tensor"]:
    """How unlike a picture is the content in its deep maps and the style in its textures.

    Args:
        settings: layers and weights.
        net: the network that looks.
        content_BCHW: pixels in 0..1.
        style_BCHW: pixels in 0..1.
        mean: of the channels of the network's input.
        std: of the channels of the network's input.
    """
    import torch

    from vgg_lit.analysis.features import Features, gram, relative_error, style_error

    look = Features(net, [settings.content_layer, *settings.style_layers])
    mean_C11 = torch.tensor(mean, device=content_BCHW.device)[:, None, None]
    std_C11 = torch.tensor(std, device=content_BCHW.device)[:, None, None]
    with torch.no_grad():
        content = look((content_BCHW - mean_C11) / std_C11)[settings.content_layer]
        style_maps = look((style_BCHW - mean_C11) / std_C11)
        grams = {name: gram(style_maps[name]) for name in settings.style_layers}

    def loss(picture_BCHW: "Tensor") -> "Tensor":
        maps = look((picture_BCHW - mean_C11) / std_C11)
        of_content = relative_error(maps[settings.content_layer], content)
        of_style = style_error(maps, grams)
        return settings.content_weight * of_content + settings.style_weight * of_style

    return loss


def descend(
    start_BCHW: "Tensor", loss: Callable[["Tensor"], "Tensor"], steps: int, lr: float
) -> tuple["Tensor", float, float]:
    """A picture with less of a loss, and the loss at the start and at the end; shows progress.

    Adam on pixels that are kept in 0..1.
    """
    import torch
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

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
    with Progress(*columns, transient=True) as progress:
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


def write_picture(path: Path, picture_CHW: "Tensor") -> None:
    """Writes pixels in 0..1, grey or colour."""
    from PIL import Image

    pixels_HWC = (255 * picture_CHW).round().byte().cpu().movedim(0, -1).numpy()
    image = Image.fromarray(pixels_HWC[..., 0] if pixels_HWC.shape[-1] == 1 else pixels_HWC)
    with replacing(path) as temporary:
        image.save(temporary, format=FORMATS[path.suffix], quality=95)


def main() -> None:
    """The console script `vgg-stylize`."""
    run_verb(stylize, "stylize")


if __name__ == "__main__":
    main()

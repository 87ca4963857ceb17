"""Paints one picture in the style of another.

python -m vgg_lit.stylize content=me.jpg style=painting.jpg weights=logs/runs/vgg16_bn/2026-01-31_12-00-00_1f3a
python -m vgg_lit.stylize content=me.jpg style=painting.jpg weights=torchvision variant=vgg19 size=384

Source: Gatys et al. 2016, https://doi.org/10.1109/CVPR.2016.265.
"""

from pathlib import Path

from omegaconf import DictConfig

from vgg_lit.config.checks import check_section, to_plain
from vgg_lit.config.command import run_verb
from vgg_lit.config.schema import Stylize
from vgg_lit.data.image_formats import PICTURE_FORMATS
from vgg_lit.errors import InputError
from vgg_lit.system.files import check_writable_file
from vgg_lit.tables import print_facts


def stylize(config: DictConfig) -> None:
    """Writes the picture, and prints the loss at the start and at the end.

    Raises:
        InputError: a picture or the weights cannot be read, or the network has no such layer.
    """
    settings = check_section(to_plain(config), Stylize)
    output = Path(settings.output)
    if output.suffix not in PICTURE_FORMATS:
        raise InputError(f"output={output}: unknown format; allowed: {', '.join(PICTURE_FORMATS)}")
    check_writable_file(output, f"output={output}")
    layers = (settings.content_layer, *settings.style_layers)
    if flat := [name for name in layers if name.startswith("fc")]:
        raise InputError(
            f"{flat[0]}: has no feature map; allowed: layers of blocks, such as block4_conv2"
        )

    from vgg_lit.analysis.style_transfer import descend, transfer_loss
    from vgg_lit.data.images import read_image, write_image
    from vgg_lit.system.hardware import device_type
    from vgg_lit.weights.formats import trained_vgg

    device = device_type(settings.accelerator)
    net, mean, std, fit = trained_vgg(settings.weights, settings.variant)
    fit = settings.fit or fit
    content_BCHW, style_BCHW = (
        read_image(path, net.in_channels, settings.size, fit=fit)[None].to(device) / 255
        for path in (settings.content, settings.style)
    )
    loss = transfer_loss(
        net.to(device),
        content_BCHW,
        style_BCHW,
        mean,
        std,
        settings.content_layer,
        settings.style_layers,
        settings.content_weight,
        settings.style_weight,
    )
    picture_BCHW, first, last = descend(content_BCHW, loss, settings.steps, settings.lr)
    write_image(output, picture_BCHW[0])
    lower = f", {first / last:.1f} times lower" if last else ""
    print_facts(
        {
            "loss": f"{first:.4g} to {last:.4g}{lower}",
            "written": f"{output} ({settings.size} x {settings.size} pixels)",
        }
    )


def main() -> None:
    """Runs the console script `vgg-stylize`."""
    run_verb(stylize, "stylize")


if __name__ == "__main__":
    main()

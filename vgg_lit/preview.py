"""Draws what an augmentation does to training images, epoch by epoch.

python -m vgg_lit.preview augment=trivial_erasing output=preview.png
python -m vgg_lit.preview augment=cutmix data=cifar10 images=4 epochs=8
"""

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from vgg_lit.command import run_verb
from vgg_lit.config import Data, Preview, check, check_source, to_plain
from vgg_lit.errors import InputError
from vgg_lit.files import replacing
from vgg_lit.tables import print_facts
from vgg_lit.targets import instantiate, trust

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from vgg_lit.data import ImageDataModule

FORMATS = (".png", ".pdf", ".svg")


def preview(config: DictConfig) -> None:
    """Writes a picture of training images: as they are, and augmented in each of the first epochs.

    Raises:
        InputError: the data or the augmentation cannot be used, or there is no such picture format.
    """
    plain = to_plain(config)
    settings = check(plain, Preview)
    trust(settings.trusted_targets)
    check(settings.data, Data, "data")
    output = Path(settings.output)
    if output.suffix not in FORMATS:
        raise InputError(f"output={output}: the name of a picture ends in {', '.join(FORMATS)}")
    augment = instantiate(settings.augment, key="augment")
    check_source(settings.data)
    spec = {name: value for name, value in settings.data.items() if name != "root"}
    spec |= {"augment": augment, "batch_size": settings.images}
    datamodule = instantiate(spec, key="data")
    datamodule.prepare_data()
    datamodule.setup("fit")
    if settings.images > datamodule.sizes["train"]:
        raise InputError(
            f"images={settings.images}: there are only {datamodule.sizes['train']} training images"
        )

    from vgg_lit.analysis.style import DPI

    figure = draw(datamodule, settings.epochs)
    with replacing(output) as temporary:
        figure.savefig(temporary, format=output.suffix[1:], dpi=DPI)
    print_facts({"written": str(output)})


def draw(datamodule: "ImageDataModule", epochs: int, title: str | None = None) -> "Figure":
    """The first training batch: a row an image, then a column an epoch."""
    import torch

    from vgg_lit.analysis.figures import image_grid

    batch = next(iter(datamodule.train_dataloader()))
    labels = [datamodule.classes[label] for label in batch[1].tolist()]
    columns, captions = [], []
    for epoch in (None, *range(epochs)):
        x_BCHW, targets, _ = datamodule.to_input(batch, epoch)
        columns.append(datamodule.preprocessing.denormalize(x_BCHW).movedim(1, -1))
        captions.append(_shares(targets, datamodule.classes))
    return image_grid(
        torch.stack(columns, dim=1).numpy(),
        row_labels=labels,
        column_titles=["original", *(f"epoch {epoch + 1}" for epoch in range(epochs))],
        captions=list(zip(*captions, strict=True)) if any(map(any, captions)) else None,
        title=title,
    )


def _shares(targets: "Tensor", classes: tuple[str, ...]) -> list[str]:
    """Each image's classes with their shares, a line each; empty where they are not mixed."""
    if targets.ndim == 1:
        return [""] * len(targets)
    return [
        "\n".join(
            f"{classes[label]} {share:.2f}"
            for label, share in sorted(enumerate(row), key=lambda pair: -pair[1])
            if share > 0
        )
        for row in targets.tolist()
    ]


def main() -> None:
    """The console script `vgg-preview`."""
    run_verb(preview, "preview")


if __name__ == "__main__":
    main()

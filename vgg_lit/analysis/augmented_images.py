"""A figure of training images as augmented in each epoch.

data = vgg_lit.ImageDataModule(FashionMNISTSample(), batch_size=6, augment=FlipCrop(padding=4))
data.setup()
augmented_images(data, epochs=5)
"""

from typing import TYPE_CHECKING

import torch
from matplotlib.figure import Figure
from torch import Tensor

from vgg_lit.analysis.figures import image_grid

if TYPE_CHECKING:
    from vgg_lit.data.datamodule import ImageDataModule


def augmented_images(
    datamodule: "ImageDataModule", epochs: int, title: str | None = None
) -> Figure:
    """Draws the first training batch: one row per image; columns are the original and each epoch."""
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


def _shares(targets: Tensor, classes: tuple[str, ...]) -> list[str]:
    """Returns the classes of each image with their shares, one per line; empty without mixing."""
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

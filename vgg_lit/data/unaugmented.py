"""Training images as network input, in order and not augmented."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vgg_lit.data.batches import BatchLoader, ResidentBatches, StreamedBatches
from vgg_lit.data.custom_datamodule import CustomDataModule
from vgg_lit.data.orders import EvaluationOrder
from vgg_lit.data.sources import ResidentImages

if TYPE_CHECKING:
    from vgg_lit.data.datamodule import ImageDataModule


def training_inputs(data: "ImageDataModule", count: int) -> Iterator[Tensor]:
    """Yields the network input of the first `count` training images, batch by batch, on the CPU.

    Args:
        data: the data module after `setup("fit")`.
        count: number of images; fewer if the split has fewer.
    """
    if isinstance(data, CustomDataModule):
        yield from data.training_inputs(count)
        return
    images, ids = data.stored("train")
    ids = ids[:count]
    order = EvaluationOrder(len(ids), min(data.batch_size, len(ids)), 0, 1)
    loader: BatchLoader
    if isinstance(images, ResidentImages):
        loader = ResidentBatches(images.images_NCHW.cpu(), images.labels_N, ids, order)
    else:
        loader = StreamedBatches(images, ids, order, torch.device("cpu"))
    for batch in loader.in_order():
        yield data.to_input(batch)[0]

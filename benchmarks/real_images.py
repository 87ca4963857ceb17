"""Real images in the shape and number of CIFAR-10, without a download.

    python -m vgg_lit.train data.source._target_=real_images.RealImages data.in_channels=3 \
        trusted_targets=[real_images]          # with this folder on PYTHONPATH

Speed depends on the number and size of images, not on their content. The images of a folder, or
those of the embedded sample, are converted to 3 channels and 32 pixels and repeated.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F

from vgg_lit.data import CIFAR10, FashionMNIST, FashionMNISTSample, Source
from vgg_lit.data.image_folder import ImageFolder
from vgg_lit.data.sources import ResidentImages, Split
from vgg_lit.errors import InputError

SIDE = 32


class RealImages:
    """Any number of colour images of 32 pixels.

    Args:
        count: number of training images; the available images are repeated as needed. There are a
            fifth as many test images.
        folder: folder of CIFAR-10, Fashion-MNIST or one subfolder of images per class; None uses the
            embedded sample.

    Raises:
        InputError: the folder contains none of these.
    """

    name = "real_images"
    in_channels = 3

    def __init__(self, count: int = 50_000, folder: str | None = None) -> None:
        self.count = count
        self.folder = folder
        self.classes = find_images(folder).classes

    def prepare(self) -> None:
        """Unpacks or decodes local files; downloads nothing."""
        find_images(self.folder).prepare()

    def load(self, split: Split) -> ResidentImages:
        """Returns the images of a split."""
        return _load(self.folder, split, self.count if split == "train" else self.count // 5)


@lru_cache
def find_images(folder: str | None) -> Source:
    """Returns the data set in a folder, or the embedded sample if the folder is None.

    Raises:
        InputError: the folder contains no data set.
    """
    if folder is None:
        return FashionMNISTSample()
    for source in (CIFAR10(folder, download=False), FashionMNIST(folder, download=False)):
        try:
            source.prepare()
        except InputError:
            continue
        return source
    return ImageFolder(folder, size=SIDE)


@lru_cache  # the sides of a comparison share one copy
def _load(folder: str | None, split: Split, count: int) -> ResidentImages:
    images = find_images(folder).load(split)
    assert isinstance(images, ResidentImages)
    margin = (SIDE - images.size) // 2
    colour_NCHW = F.pad(images.images_NCHW, [margin] * 4).expand(-1, 3, -1, -1)
    repeated_N = torch.arange(count) % len(colour_NCHW)
    return ResidentImages(colour_NCHW[repeated_N], images.labels_N[repeated_N])

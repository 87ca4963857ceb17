"""Real images in CIFAR-10's shape and number, without a network.

    python -m vgg_lit.train data.source._target_=real_images.RealImages data.in_channels=3 \
        trusted_targets=[real_images]          # with this folder on PYTHONPATH

What they show does not matter to a clock, but their number and size do: a folder's own images, or
those of the embedded sample, are brought to 3 channels and 32 pixels and repeated.
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
    """Colour images of 32 pixels, as many as wanted.

    Args:
        count: training images; the images there are come again until there are so many, the test
            images until they are a fifth of that.
        folder: holds CIFAR-10, Fashion-MNIST or a folder of images a class; None takes the embedded
            sample.

    Raises:
        InputError: the folder holds none of these.
    """

    name = "real_images"
    in_channels = 3

    def __init__(self, count: int = 50_000, folder: str | None = None) -> None:
        self.count = count
        self.folder = folder
        self.classes = find_images(folder).classes

    def prepare(self) -> None:
        """Unpack or decode what is there; nothing is downloaded."""
        find_images(self.folder).prepare()

    def load(self, split: Split) -> ResidentImages:
        """The images of a split."""
        return _load(self.folder, split, self.count if split == "train" else self.count // 5)


@lru_cache
def find_images(folder: str | None) -> Source:
    """The data set that lies in a folder; without a folder the embedded sample.

    Raises:
        InputError: there is none.
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


@lru_cache  # several sides of a comparison look at one copy
def _load(folder: str | None, split: Split, count: int) -> ResidentImages:
    images = find_images(folder).load(split)
    assert isinstance(images, ResidentImages)
    margin = (SIDE - images.size) // 2
    colour_NCHW = F.pad(images.images_NCHW, [margin] * 4).expand(-1, 3, -1, -1)
    repeated_N = torch.arange(count) % len(colour_NCHW)
    return ResidentImages(colour_NCHW[repeated_N], images.labels_N[repeated_N])

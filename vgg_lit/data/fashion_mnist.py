"""Fashion-MNIST: the full data set, and an embedded sample that needs no download.

Source: Xiao, Rasul & Vollgraf 2017, "Fashion-MNIST: a novel image dataset for benchmarking machine
learning algorithms" (MIT licence, Zalando SE).
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vgg_lit.data.downloads import is_published
from vgg_lit.data.idx import SIDE, IdxImages
from vgg_lit.data.published import PublishedFile
from vgg_lit.data.sources import ResidentImages, Split
from vgg_lit.errors import InputError

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
# SHA-256 of the uncompressed files: published and recompressed .gz files have the same content
IDX_FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
# the authors' repository: the address in its README supports http only
URL = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"

SAMPLE_FILE = Path(__file__).parent / "sample" / "fashion_mnist_sample.png"
SAMPLE_SHA256 = "26693f5bfe99c72c7d94e1a636ef1a12c7364e99b29869bb54323a0e4f9b9d28"
SAMPLE_COLUMNS = 100  # images per row of the sheet
SAMPLE_PER_CLASS = {"train": 600, "test": 100}


class FashionMNISTSample:
    """6,000 training and 1,000 test images of Fashion-MNIST, shipped with the package.

    They are stored as one image, a sheet of 70 rows of 100 images: first 6 rows of training images
    per class, then one row of test images per class.
    """

    name = "fashion_mnist_sample"
    in_channels = 1
    classes = CLASSES

    def prepare(self) -> None:
        """Does nothing: the sample is part of the package."""

    def load(self, split: Split) -> ResidentImages:
        """Returns the images of a split, sorted by class.

        Raises:
            InputError: the installed file is damaged.
        """
        if not SAMPLE_FILE.is_file() or not is_published(SAMPLE_FILE, SAMPLE_SHA256):
            raise InputError(f"{SAMPLE_FILE}: missing or damaged; reinstall vgg_lit")
        with Image.open(SAMPLE_FILE) as sheet:
            pixels = np.array(sheet)
        rows = pixels.reshape(-1, SIDE, SAMPLE_COLUMNS, SIDE).swapaxes(1, 2)
        images = torch.from_numpy(rows.reshape(-1, 1, SIDE, SIDE))
        per_class = SAMPLE_PER_CLASS[split]
        num_train = SAMPLE_PER_CLASS["train"] * len(CLASSES)
        chosen = images[:num_train] if split == "train" else images[num_train:]
        return ResidentImages(
            chosen.clone(), torch.arange(len(CLASSES)).repeat_interleave(per_class)
        )


class FashionMNIST(IdxImages):
    """All 60,000 training and 10,000 test images.

    Args:
        root: folder of the four idx files, gzipped or not; they may also be in its subfolder
            `FashionMNIST/raw` or `fashion-mnist`. Missing files are downloaded to
            `FashionMNIST/raw`.
        download: True allows downloading missing files.
    """

    name = "fashion_mnist"
    title = "Fashion-MNIST"
    folders = ("FashionMNIST/raw", "fashion-mnist", "")
    classes = CLASSES

    def __init__(self, root: str | Path, download: bool = True) -> None:
        super().__init__(root, download)
        self.files = tuple(
            PublishedFile(f"{name}.gz", f"{URL}{name}.gz", digest, of_content=True)
            for name, digest in IDX_FILES.items()
        )

"""Fashion-MNIST: the full data set, and an embedded sample that needs no download.

Source: Xiao, Rasul & Vollgraf 2017, "Fashion-MNIST: a novel image dataset for benchmarking machine
learning algorithms" (MIT licence, Zalando SE).
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vgg_lit.data.downloads import DownloadError, fetch, is_published, read_published, staging
from vgg_lit.data.sources import ResidentImages, Split
from vgg_lit.errors import InputError
from vgg_lit.system.files import expanded, replacing

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
SIDE = 28

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


class FashionMNIST:
    """All 60,000 training and 10,000 test images.

    Args:
        root: folder of the four idx files, gzipped or not; they may also be in its subfolder
            `FashionMNIST/raw` or `fashion-mnist`. Missing files are downloaded to
            `FashionMNIST/raw`.
        download: True allows downloading missing files.
    """

    name = "fashion_mnist"
    in_channels = 1
    classes = CLASSES

    def __init__(self, root: str | Path, download: bool = True) -> None:
        self.root = expanded(root)
        self.download = download

    def prepare(self) -> None:
        """Downloads missing files; only one process does.

        Raises:
            InputError: the download is not allowed or failed.
        """
        absent = self._absent()
        if not absent:
            return
        if not self.download:
            raise InputError(self._way_out(absent, "not found, and download=false"))
        target = self.root / "FashionMNIST" / "raw"
        try:
            with staging(target) as folder:
                for name in self._absent():  # fewer, if this process had to wait for another
                    read = partial(read_published, digest=IDX_FILES[name])
                    content = fetch(f"{URL}{name}.gz", folder / f"{name}.gz", read)
                    with replacing(target / name) as temporary:
                        temporary.write_bytes(content)
        except (OSError, DownloadError) as error:
            raise InputError(
                self._way_out(absent, f"not found, and the download failed ({error})")
            ) from None

    def load(self, split: Split) -> ResidentImages:
        """Returns the images of a split, in file order.

        Raises:
            InputError: a file is missing or damaged.
        """
        prefix = "train" if split == "train" else "t10k"
        images = self._read(f"{prefix}-images-idx3-ubyte").reshape(-1, 1, SIDE, SIDE)
        return ResidentImages(images, self._read(f"{prefix}-labels-idx1-ubyte").long())

    def _read(self, name: str) -> torch.Tensor:
        path = self._find(name)
        if path is None:
            raise InputError(self._way_out([name], "not found"))
        return parse_idx(read_published(path, IDX_FILES[name]))

    def _absent(self) -> list[str]:
        return [name for name in IDX_FILES if self._find(name) is None]

    def _find(self, name: str) -> Path | None:
        folders = (self.root / "FashionMNIST" / "raw", self.root / "fashion-mnist", self.root)
        candidates = (folder / (name + suffix) for folder in folders for suffix in ("", ".gz"))
        return next((path for path in candidates if path.is_file()), None)

    def _way_out(self, names: list[str], problem: str) -> str:
        return (
            f"Fashion-MNIST: {', '.join(names)} {problem}; put the files (.gz or not) into {self.root},"
            " or use data=fashion_mnist_sample, which needs no download"
        )


def parse_idx(content: bytes) -> torch.Tensor:
    """Parses an idx file of uint8: magic 00 00 08, number of axes, their lengths, the values."""
    assert content[:3] == b"\0\0\x08"
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, offset=4).astype(int)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    return torch.from_numpy(values.reshape(shape).copy())

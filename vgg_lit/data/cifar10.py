"""CIFAR-10, read through torchvision: nothing is unpickled before its MD5 matches.

Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images".
"""

import http.client
import tarfile
import tempfile
from pathlib import Path

import torch
from torchvision import datasets
from torchvision.datasets.utils import check_integrity, extract_archive

from vgg_lit.data.sources import ResidentImages, Split
from vgg_lit.errors import InputError

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


class CIFAR10:
    """All 50,000 training and 10,000 test images.

    Args:
        root: where `cifar-10-batches-py` or `cifar-10-python.tar.gz` lies, or is downloaded to.
        download: whether absent files may be downloaded.
    """

    name = "cifar10"
    in_channels = 3
    classes = CLASSES

    def __init__(self, root: str | Path, download: bool = True) -> None:
        self.root = Path(root).expanduser()
        self.download = download

    def prepare(self) -> None:
        """Unpack the archive if it lies in root, else download it.

        Raises:
            InputError: the archive is damaged, or absent and not to be had.
        """
        archive = self.root / datasets.CIFAR10.filename
        if self._folder.is_dir():
            return
        if archive.is_file() and not check_integrity(archive, datasets.CIFAR10.tgz_md5):
            raise InputError(
                f"{archive}: damaged (not the published content); delete it, it is downloaded again"
            )
        if not archive.is_file() and not self.download:
            raise InputError(self._way_out("absent, and download=false"))
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            # complete in a folder of its own before it is put in place
            with tempfile.TemporaryDirectory(dir=self.root, prefix=".download-") as staging:
                if archive.is_file():
                    extract_archive(archive, staging)
                else:
                    datasets.CIFAR10(staging, download=True)
                Path(staging, datasets.CIFAR10.base_folder).replace(self._folder)
        except (
            OSError,
            RuntimeError,
            EOFError,
            tarfile.TarError,
            http.client.HTTPException,
        ) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(self._way_out(f"cannot be had ({reason})")) from None

    def load(self, split: Split) -> ResidentImages:
        """The images of a split, in the order of the files.

        Raises:
            InputError: a file is absent or damaged.
        """
        if not self._folder.is_dir():
            raise InputError(self._way_out("absent"))
        published = datasets.CIFAR10.train_list + datasets.CIFAR10.test_list
        meta = datasets.CIFAR10.meta
        for name, md5 in [*published, [meta["filename"], meta["md5"]]]:
            if not check_integrity(self._folder / name, md5):
                raise InputError(
                    f"{self._folder / name}: absent or damaged (not the published content);"
                    f" delete the folder {self._folder}, it is made again"
                )
        data = datasets.CIFAR10(str(self.root), train=split == "train")
        images_NCHW = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()
        return ResidentImages(images_NCHW, torch.tensor(data.targets))

    @property
    def _folder(self) -> Path:
        return self.root / datasets.CIFAR10.base_folder

    def _way_out(self, problem: str) -> str:
        return (
            f"CIFAR-10: {self._folder} {problem}; put {datasets.CIFAR10.filename} into {self.root},"
            " or take data=fashion_mnist_sample, which needs no download"
        )

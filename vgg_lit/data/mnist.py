"""MNIST, Kuzushiji-MNIST and EMNIST: grey images of 28 pixels in idx files.

Sources: LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document
recognition"; Clanuwat et al. 2018, "Deep learning for classical Japanese literature"; Cohen et al.
2017, "EMNIST: an extension of MNIST to handwritten letters".
"""

import gzip
import string
import zipfile
import zlib
from pathlib import Path
from typing import Literal, get_args

from torch import Tensor

from vgg_lit.data.idx import IdxImages, parse_idx
from vgg_lit.data.published import MIB, PublishedFile, PublishedImages
from vgg_lit.data.sources import ResidentImages, Split
from vgg_lit.errors import InputError

MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
# SHA-256 of the uncompressed files: recompressed .gz files have the same content
MNIST_FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

KMNIST_URL = "https://codh.rois.ac.jp/kmnist/dataset/kmnist/"
# SHA-256 of the .gz files
KMNIST_FILES = {
    "train-images-idx3-ubyte": "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
    "train-labels-idx1-ubyte": "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
    "t10k-images-idx3-ubyte": "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
    "t10k-labels-idx1-ubyte": "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
}

EMNIST_URL = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
EMNIST_SHA256 = "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"

EMNISTSplit = Literal["balanced", "byclass", "bymerge", "letters", "digits", "mnist"]

# 11 lower-case letters that do not look like their upper case
_UNMERGED = "abdefghnqrt"
_CLASSES: dict[str, str] = {
    "balanced": string.digits + string.ascii_uppercase + _UNMERGED,
    "byclass": string.digits + string.ascii_uppercase + string.ascii_lowercase,
    "bymerge": string.digits + string.ascii_uppercase + _UNMERGED,
    "letters": string.ascii_lowercase,
    "digits": string.digits,
    "mnist": string.digits,
}


class MNIST(IdxImages):
    """All 60,000 training and 10,000 test images of handwritten digits.

    Args:
        root: folder that has the four idx files, gzipped or not, in its subfolder `MNIST/raw` or
            `mnist`. Missing files are downloaded to `MNIST/raw`.
        download: True allows downloading missing files.
    """

    name = "mnist"
    title = "MNIST"
    folders = ("MNIST/raw", "mnist")
    classes = tuple(string.digits)

    def __init__(self, root: str | Path, download: bool = True) -> None:
        super().__init__(root, download)
        self.files = tuple(
            PublishedFile(f"{name}.gz", f"{MNIST_URL}{name}.gz", digest, of_content=True)
            for name, digest in MNIST_FILES.items()
        )


class KMNIST(IdxImages):
    """All 60,000 training and 10,000 test images of cursive hiragana.

    Args:
        root: folder that has the four gzipped idx files in its subfolder `KMNIST/raw` or `kmnist`.
            Missing files are downloaded to `KMNIST/raw`.
        download: True allows downloading missing files.
    """

    name = "kmnist"
    title = "Kuzushiji-MNIST"
    folders = ("KMNIST/raw", "kmnist")
    classes = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

    def __init__(self, root: str | Path, download: bool = True) -> None:
        super().__init__(root, download)
        self.files = tuple(
            PublishedFile(f"{name}.gz", f"{KMNIST_URL}{name}.gz", digest)
            for name, digest in KMNIST_FILES.items()
        )


class EMNIST(PublishedImages):
    """Handwritten digits and letters, upright, read from the published archive.

    Args:
        root: folder that has `gzip.zip` in its subfolder `EMNIST/raw` or `emnist`. It is downloaded
            to `EMNIST/raw`.
        download: True allows downloading the archive.
        split: "balanced" (47 classes of equal size), "byclass" (62 classes), "bymerge" (47),
            "letters" (26, both cases merged), "digits" (10) or "mnist" (10).
    """

    name = "emnist"
    in_channels = 1
    title = "EMNIST"
    folders = ("EMNIST/raw", "emnist")

    def __init__(
        self, root: str | Path, download: bool = True, split: EMNISTSplit = "balanced"
    ) -> None:
        super().__init__(root, download)
        if split not in get_args(EMNISTSplit):
            raise InputError(f"split={split}: unknown; allowed: {', '.join(get_args(EMNISTSplit))}")
        self.split = split
        self.classes = tuple(_CLASSES[split])
        self.files = (PublishedFile("gzip.zip", EMNIST_URL, EMNIST_SHA256, max_bytes=1024 * MIB),)

    def load(self, split: Split) -> ResidentImages:
        """Returns the images of a split, in file order.

        Raises:
            InputError: the archive is missing or damaged.
        """
        path = self._verified("gzip.zip")
        prefix = f"gzip/emnist-{self.split}-{split}"
        # the files store columns first
        images = _read_member(path, f"{prefix}-images-idx3-ubyte.gz").transpose(1, 2)
        labels = _read_member(path, f"{prefix}-labels-idx1-ubyte.gz").long()
        if self.split == "letters":
            labels -= 1
        return ResidentImages(images.contiguous()[:, None], labels)


def _read_member(archive: Path, name: str) -> Tensor:
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(name) as member:
            return parse_idx(gzip.decompress(member.read()))
    except (KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{archive}: {name} cannot be read ({error})") from None

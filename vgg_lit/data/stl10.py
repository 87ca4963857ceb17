"""STL-10: colour images of 96 pixels. The unlabelled images are not used.

Source: Coates, Lee & Ng 2011, "An analysis of single-layer networks in unsupervised feature
learning".
"""

from pathlib import Path

import numpy as np
import torch

from vgg_lit.data.published import MIB, PublishedFile, PublishedImages
from vgg_lit.data.sources import ResidentImages, Split

SIDE = 96
URL = "https://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz"
ARCHIVE_SHA256 = "f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866"
# MD5: no SHA-256 of these files is published
MEMBERS = {
    "train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
    "train_y.bin": "5a34089d4802c674881badbb80307741",
    "test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
    "test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
}


class STL10(PublishedImages):
    """All 5,000 training and 8,000 test images; CIFAR-10's classes, with monkey in place of frog.

    Args:
        root: folder of `stl10_binary` or `stl10_binary.tar.gz`, and of the download.
        download: True allows downloading missing files, an archive of 2.6 GB.
    """

    name = "stl10"
    in_channels = 3
    title = "STL-10"
    folders = ("stl10_binary",)
    classes = (
        "airplane",
        "bird",
        "car",
        "cat",
        "deer",
        "dog",
        "horse",
        "monkey",
        "ship",
        "truck",
    )

    def __init__(self, root: str | Path, download: bool = True) -> None:
        super().__init__(root, download)
        self.files = (
            PublishedFile(
                "stl10_binary.tar.gz",
                URL,
                ARCHIVE_SHA256,
                max_bytes=3072 * MIB,
                max_content=256 * MIB,
                members=MEMBERS,
            ),
        )

    def load(self, split: Split) -> ResidentImages:
        """Returns the images of a split, in file order.

        Raises:
            InputError: a file is missing or damaged.
        """
        columns_first = np.frombuffer(self._read(f"{split}_X.bin"), np.uint8)
        images = columns_first.reshape(-1, 3, SIDE, SIDE).swapaxes(2, 3).copy()
        labels = np.frombuffer(self._read(f"{split}_y.bin"), np.uint8).astype(np.int64) - 1
        return ResidentImages(torch.from_numpy(images), torch.from_numpy(labels))

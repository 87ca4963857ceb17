"""CIFAR-10. Files are unpacked or unpickled only after their SHA-256 matches.

Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images".
"""

import pickle
from pathlib import Path

import numpy as np
import torch

from vgg_lit.data.published import MIB, PublishedFile, PublishedImages
from vgg_lit.data.sources import ResidentImages, Split

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
SIDE = 32

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
ARCHIVE = "cifar-10-python.tar.gz"
ARCHIVE_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
FOLDER = "cifar-10-batches-py"
BATCHES = {
    "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
    "test": ("test_batch",),
}
ARCHIVE_FILES = {
    "data_batch_1": "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
    "data_batch_2": "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
    "data_batch_3": "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
    "data_batch_4": "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
    "data_batch_5": "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
    "test_batch": "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
    # unused here; torchvision reads it from the same folder
    "batches.meta": "f962466ef690d46b226450fb9aadc74ba4bc64a76aa526b5827fe4bc5c7125cb",
}


class CIFAR10(PublishedImages):
    """All 50,000 training and 10,000 test images.

    Args:
        root: folder of `cifar-10-batches-py` or `cifar-10-python.tar.gz`, and of the download.
        download: True allows downloading missing files.
    """

    name = "cifar10"
    in_channels = 3
    title = "CIFAR-10"
    folders = (FOLDER,)
    classes = CLASSES

    def __init__(self, root: str | Path, download: bool = True) -> None:
        super().__init__(root, download)
        self.files = (
            PublishedFile(
                ARCHIVE,
                URL,
                ARCHIVE_SHA256,
                max_bytes=256 * MIB,
                members=ARCHIVE_FILES,
                unread=frozenset({"batches.meta"}),
            ),
        )

    def load(self, split: Split) -> ResidentImages:
        """Returns the images of a split, in file order.

        Raises:
            InputError: a file is missing or damaged.
        """
        images, labels = [], []
        for name in BATCHES[split]:
            # unpickles the same bytes that were checked
            batch = pickle.loads(self._read(name), encoding="latin1")
            images.append(np.asarray(batch["data"]).reshape(-1, 3, SIDE, SIDE))
            labels += batch["labels"]
        return ResidentImages(torch.from_numpy(np.concatenate(images)), torch.tensor(labels))

"""CIFAR-100. Files are unpacked or unpickled only after their digests match.

Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images".
"""

import pickle
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from vgg_lit.data.published import MIB, PublishedFile, PublishedImages
from vgg_lit.data.sources import ResidentImages, Split
from vgg_lit.errors import InputError

SIDE = 32
URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
ARCHIVE_SHA256 = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"
# MD5: no SHA-256 of these files is published
MEMBERS = {
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    # unused here; torchvision reads it from the same folder
    "meta": "7973b15100ade9c7d40fb424638fde48",
}

_FINE_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile
cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp
lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree
orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum
rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train
trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
_COARSE_NAMES = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
household_furniture insects large_carnivores large_man-made_outdoor_things
large_natural_outdoor_scenes large_omnivores_and_herbivores medium_mammals
non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2
"""
FINE, COARSE = tuple(_FINE_NAMES.split()), tuple(_COARSE_NAMES.split())
_CLASSES = {"fine": FINE, "coarse": COARSE}


class CIFAR100(PublishedImages):
    """All 50,000 training and 10,000 test images.

    Args:
        root: folder of `cifar-100-python` or `cifar-100-python.tar.gz`, and of the download.
        download: True allows downloading missing files.
        labels: "fine" (100 classes) or "coarse" (20 superclasses).
    """

    name = "cifar100"
    in_channels = 3
    title = "CIFAR-100"
    folders = ("cifar-100-python",)

    def __init__(
        self, root: str | Path, download: bool = True, labels: Literal["fine", "coarse"] = "fine"
    ) -> None:
        super().__init__(root, download)
        if labels not in _CLASSES:
            raise InputError(f"labels={labels}: unknown; allowed: {', '.join(_CLASSES)}")
        self.labels = labels
        self.classes = _CLASSES[labels]
        self.files = (
            PublishedFile(
                "cifar-100-python.tar.gz",
                URL,
                ARCHIVE_SHA256,
                max_bytes=256 * MIB,
                max_content=256 * MIB,
                members=MEMBERS,
                unread=frozenset({"meta"}),
            ),
        )

    def load(self, split: Split) -> ResidentImages:
        """Returns the images of a split, in file order.

        Raises:
            InputError: a file is missing or damaged.
        """
        # unpickles the same bytes that were checked
        batch = pickle.loads(self._read(split), encoding="latin1")
        images = np.asarray(batch["data"]).reshape(-1, 3, SIDE, SIDE)
        return ResidentImages(
            torch.from_numpy(images), torch.tensor(batch[f"{self.labels}_labels"])
        )

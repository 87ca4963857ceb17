"""Small folders of images, and the `data` groups that read them."""

import numpy as np
from PIL import Image


def write_image(path, level):
    """A grey image of 8 pixels with one level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), level, np.uint8)).save(path)


def write_folder(root, count):
    """Images `a/00.png`, `b/01.png`, `a/02.png`, ... with their number as level; returns the folder."""
    for number in range(count):
        write_image(root / "ab"[number % 2] / f"{number:02}.png", number)
    return root


def folder_group(root, **options):
    """The `data` group of a folder of `write_folder`."""
    source = {"_target_": "vgg_lit.data.ImageFolder", "root": str(root), "in_channels": 1}
    return {
        "_target_": "vgg_lit.ImageDataModule",
        "source": {**source, "size": 8, "num_workers": 0},
        "batch_size": 2,
        "val_fraction": 0.25,
        **options,
    }

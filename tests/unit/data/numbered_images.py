"""A source whose image i has the level i, and data modules of it."""

from dataclasses import dataclass

import torch

from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.data.sources import ResidentImages


class Numbers:
    """200 training and 50 test images of 28 pixels in 3 unequal classes; image i has level i."""

    name, in_channels, classes = "numbers", 1, ("a", "b", "c")

    def __init__(self):
        self.prepared, self.loaded = 0, []

    def prepare(self):
        self.prepared += 1

    def load(self, split):
        self.loaded.append(split)
        n = 200 if split == "train" else 50
        images = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 1, 28, 28)
        return ResidentImages(images.contiguous(), torch.arange(n) % 4 % 3)


@dataclass
class TrainerStandIn:
    """The attributes of a Trainer that the data module uses."""

    global_rank: int = 0
    world_size: int = 1
    training: bool = True
    overfit_batches: float = 0

    @property
    def strategy(self):
        return self

    root_device = torch.device("cpu")


def make(trainer=None, stage=None, **options):
    module = ImageDataModule(Numbers(), **{"batch_size": 16, **options})
    module.trainer = trainer
    module.prepare_data()
    module.setup(stage)
    return module


def ids_of(loader):
    return torch.cat([ids for _, _, ids in loader])


class WithValidation(Numbers):
    """`Numbers` with an official validation split of 30 images, levels 60 to 89."""

    has_validation = True

    def load(self, split):
        if split != "val":
            return super().load(split)
        self.loaded.append(split)
        levels = torch.arange(60, 90, dtype=torch.uint8).view(30, 1, 1, 1)
        return ResidentImages(levels.expand(30, 1, 28, 28).contiguous(), torch.arange(30) % 3)

"""Data modules and a network as users write them, for tests."""

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from vgg_lit.data.custom_datamodule import CustomDataModule


def pictures(count: int, seed: int) -> TensorDataset:
    """Images in 0..1 whose dark half is their class: none, the upper or the left one."""
    draws = torch.Generator().manual_seed(seed)
    labels_N = torch.arange(count) % 3
    images_NCHW = torch.rand(count, 3, 16, 16, generator=draws)
    images_NCHW[labels_N == 1, :, :8] *= 0.2
    images_NCHW[labels_N == 2, :, :, :8] *= 0.2
    return TensorDataset(images_NCHW, labels_N)


CHANGES = {
    "pixels": lambda x, y: (x, y),
    "uint8": lambda x, y: ((255 * x).round().to(torch.uint8), y.to(torch.uint8)[:, None]),
    "normalised": lambda x, y: ((x - 0.5) / 0.25, y),
    "mapping": lambda x, y: {"image": x, "label": y},
    "float_labels": lambda x, y: (x, y.float()),
    "one_hot": lambda x, y: (x, nn.functional.one_hot(y)),
    "from_one": lambda x, y: (x, y + 1),
    "oblong": lambda x, y: (x[..., :8], y),
    "bool": lambda x, y: (x > 0.5, y),
}


class Halves(L.LightningDataModule):
    """A data module that its user has never adapted to this package."""

    def __init__(self, batch_size: int = 8, kind: str = "pixels") -> None:
        super().__init__()
        self.batch_size, self.kind = batch_size, kind
        self.calls: list[str] = []

    def prepare_data(self) -> None:
        self.calls.append("prepare")

    def setup(self, stage: str) -> None:
        self.calls.append(stage)
        if stage == "fit":
            draws = torch.Generator().manual_seed(0)
            self.train_set, self.val_set = random_split(pictures(44, 0), [32, 12], draws)
        if stage == "test":
            self.test_set = pictures(21, 1)

    def _loader(self, data_set, **options):
        def collate(items):
            return CHANGES[self.kind](*map(torch.stack, zip(*items, strict=True)))

        return DataLoader(data_set, self.batch_size, collate_fn=collate, **options)

    def train_dataloader(self):
        return self._loader(self.train_set, shuffle=True)

    def val_dataloader(self):
        return self._loader(self.val_set)

    def test_dataloader(self):
        return self._loader(self.test_set)


class OnlyTraining(L.LightningDataModule):
    def train_dataloader(self):
        return DataLoader(pictures(32, 0), 8, shuffle=True)


class Small(nn.Module):
    """A network without any argument."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(3)
        )
        self.head = nn.Sequential(nn.BatchNorm1d(32), nn.Linear(32, 3))

    def forward(self, x_BCHW):
        return self.head(self.layers(x_BCHW).flatten(1))


def adapted(kind: str = "pixels", preprocessing=None, **declared) -> CustomDataModule:
    data = CustomDataModule(Halves(kind=kind), declared, preprocessing=preprocessing)
    data.prepare_data()
    data.setup()
    return data

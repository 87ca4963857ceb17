"""The data pipeline: images in, device batches out. It does not import models.

Names are imported on first use, because Lightning and Pillow take seconds to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vgg_lit.data.augment import Augmentation, Compose, FlipCrop, NoAugmentation
    from vgg_lit.data.autoaugment import AutoAugment, TrivialAugment
    from vgg_lit.data.cifar10 import CIFAR10
    from vgg_lit.data.cifar100 import CIFAR100
    from vgg_lit.data.colour import ColourShift
    from vgg_lit.data.datamodule import ImageDataModule
    from vgg_lit.data.draws import Draws
    from vgg_lit.data.erasing import Cutout, RandomErasing
    from vgg_lit.data.fashion_mnist import FashionMNIST, FashionMNISTSample
    from vgg_lit.data.huggingface import HuggingFaceImages
    from vgg_lit.data.image_folder import ImageFolder
    from vgg_lit.data.images import read_image
    from vgg_lit.data.jitter import ScaleJitter
    from vgg_lit.data.mixing import CutMix, MixUp
    from vgg_lit.data.mnist import EMNIST, KMNIST, MNIST
    from vgg_lit.data.npz import NpzImages
    from vgg_lit.data.preprocessing import Preprocessing
    from vgg_lit.data.sources import Source
    from vgg_lit.data.stl10 import STL10
    from vgg_lit.data.svhn import SVHN
    from vgg_lit.data.torchvision_images import TorchvisionImages

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "EMNIST",
    "KMNIST",
    "MNIST",
    "STL10",
    "SVHN",
    "Augmentation",
    "AutoAugment",
    "ColourShift",
    "Compose",
    "CutMix",
    "Cutout",
    "Draws",
    "FashionMNIST",
    "FashionMNISTSample",
    "FlipCrop",
    "HuggingFaceImages",
    "ImageDataModule",
    "ImageFolder",
    "MixUp",
    "NoAugmentation",
    "NpzImages",
    "Preprocessing",
    "RandomErasing",
    "ScaleJitter",
    "Source",
    "TorchvisionImages",
    "TrivialAugment",
    "read_image",
]

_MODULES = {
    "Augmentation": "augment",
    "AutoAugment": "autoaugment",
    "CIFAR10": "cifar10",
    "CIFAR100": "cifar100",
    "ColourShift": "colour",
    "Compose": "augment",
    "CutMix": "mixing",
    "Cutout": "erasing",
    "Draws": "draws",
    "EMNIST": "mnist",
    "FashionMNIST": "fashion_mnist",
    "FashionMNISTSample": "fashion_mnist",
    "FlipCrop": "augment",
    "HuggingFaceImages": "huggingface",
    "ImageDataModule": "datamodule",
    "ImageFolder": "image_folder",
    "KMNIST": "mnist",
    "MNIST": "mnist",
    "MixUp": "mixing",
    "NoAugmentation": "augment",
    "NpzImages": "npz",
    "Preprocessing": "preprocessing",
    "RandomErasing": "erasing",
    "STL10": "stl10",
    "SVHN": "svhn",
    "ScaleJitter": "jitter",
    "Source": "sources",
    "TorchvisionImages": "torchvision_images",
    "TrivialAugment": "autoaugment",
    "read_image": "images",
}


if not TYPE_CHECKING:  # type checkers would accept every name

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""VGG networks on small images, with PyTorch Lightning and Hydra.

`Classifier`, `ImageDataModule` and `Run` are loaded when first used, so that a verb's `--help` and its
config checks do not wait for Lightning.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vgg_lit.classifier import Classifier
    from vgg_lit.data.datamodule import ImageDataModule
    from vgg_lit.runs import Run

__version__ = "0.1.0"

__all__ = ["Classifier", "ImageDataModule", "Run", "__version__"]

_HOMES = {
    "Classifier": "vgg_lit.classifier",
    "ImageDataModule": "vgg_lit.data.datamodule",
    "Run": "vgg_lit.runs",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

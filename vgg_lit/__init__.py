"""VGG networks on small images, with PyTorch Lightning and Hydra.

`Classifier`, `ImageDataModule`, `Run` and `Sweep` are imported on first use, so that the `--help` and the config
checks of a command do not wait for Lightning.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vgg_lit.version import __version__

if TYPE_CHECKING:
    from vgg_lit.classifier import Classifier
    from vgg_lit.data.datamodule import ImageDataModule
    from vgg_lit.runs import Run
    from vgg_lit.sweeps import Sweep


__all__ = ["Classifier", "ImageDataModule", "Run", "Sweep", "__version__"]

_HOMES = {
    "Classifier": "vgg_lit.classifier",
    "ImageDataModule": "vgg_lit.data.datamodule",
    "Run": "vgg_lit.runs",
    "Sweep": "vgg_lit.sweeps",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

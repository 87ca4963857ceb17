"""VGG networks on small images, with PyTorch Lightning and Hydra.

run = vgg_lit.train("model=vgg16_bn", "data=cifar10", seed=1)    # in Python, as vgg-train in a shell
run = vgg_lit.Run("logs/runs/vgg16_bn/2026-01-31_12-00-00_1f3a")

All names are imported on first use, so that `import vgg_lit` and the `--help` of a command do not wait for
torch and Lightning.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vgg_lit.system.early_interrupts import end_on_interrupt
from vgg_lit.version import __version__

end_on_interrupt()

if TYPE_CHECKING:
    from vgg_lit.classifier import Classifier
    from vgg_lit.config.composing import compose
    from vgg_lit.data.datamodule import ImageDataModule
    from vgg_lit.errors import InputError, TrainingError
    from vgg_lit.interactive import InteractiveSweep as Sweep
    from vgg_lit.interactive import compare_runs as compare
    from vgg_lit.interactive import train_run as train
    from vgg_lit.interactive_run import InteractiveRun as Run


__all__ = [
    "Classifier",
    "ImageDataModule",
    "InputError",
    "Run",
    "Sweep",
    "TrainingError",
    "__version__",
    "compare",
    "compose",
    "train",
]

_HOMES = {
    "Classifier": ("vgg_lit.classifier", "Classifier"),
    "ImageDataModule": ("vgg_lit.data.datamodule", "ImageDataModule"),
    "InputError": ("vgg_lit.errors", "InputError"),
    "Run": ("vgg_lit.interactive_run", "InteractiveRun"),
    "Sweep": ("vgg_lit.interactive", "InteractiveSweep"),
    "TrainingError": ("vgg_lit.errors", "TrainingError"),
    "compose": ("vgg_lit.config.composing", "compose"),
}


if not TYPE_CHECKING:  # type checkers would accept every name

    def __getattr__(name: str) -> Any:
        from vgg_lit.system.notebook import give_settings_folder, replace_missing_plot_backend

        replace_missing_plot_backend()
        give_settings_folder()
        if name in ("train", "compare"):  # modules of commands, which can be called
            return import_module(f"vgg_lit.{name}")
        if name in _HOMES:
            module, attribute = _HOMES[name]
            return getattr(import_module(module), attribute)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

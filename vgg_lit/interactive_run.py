"""A trained run in Python, with the commands that use it; the same as in the shell.

run = vgg_lit.Run("latest")
run.history()
run.evaluate(flip=True)
run.predict("photos")[0].likeliest
run.draw("confusion")[0].figure
run.export(formats=["safetensors"])
"""

import math
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from vgg_lit.config.checks import check_section, to_plain
from vgg_lit.config.composing import compose, errors_in_one_line, typed_overrides
from vgg_lit.config.near_matches import hint
from vgg_lit.config.schema import COMMANDS, Predict
from vgg_lit.errors import ConfigError, InputError
from vgg_lit.evaluate import evaluate
from vgg_lit.evaluation.given_pictures import classify_pictures, listed_images
from vgg_lit.evaluation.prediction import Prediction, classify, find_images, load_trained
from vgg_lit.evaluation.trained import find_trained
from vgg_lit.export import export
from vgg_lit.runs import Run
from vgg_lit.system.notebook import show_figures
from vgg_lit.system.overrides import key_of
from vgg_lit.targets import trust
from vgg_lit.visualize import draw

if TYPE_CHECKING:
    from vgg_lit.reports.picture import Picture

COUNTS = ("epoch", "step")
"""Columns of `metrics.csv` that are whole numbers."""

NOT_OF_METHODS = {
    "evaluate": ("weights",),
    "predict": ("weights", "exported", "output"),
    "visualize": ("formats",),
    "export": (),
}
"""Settings of a command, besides the run, that its method does not have: it uses this run, or writes no file."""


class InteractiveRun(Run):
    """A run directory with the commands that use it, named as in the shell.

    Args:
        path: the directory.

    Raises:
        InputError: there is no such directory, or it is not a run directory.
    """

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def evaluate(self, *overrides: str, **settings: Any) -> dict[str, float]:
        """Prints, records and returns the metrics, as `vgg-evaluate` does.

        Args:
            overrides: settings of the command, e.g. `"data=fashion_mnist"`.
            settings: the same by name, e.g. `flip=True`.

        Raises:
            InputError: the network does not support the views or the data.
        """
        with errors_in_one_line():
            config, typed = self._composed("evaluate", overrides, settings)
            return evaluate(config, typed)

    def predict(self, images: Any, **settings: Any) -> list[Prediction]:
        """Returns the likeliest classes of images; writes no file.

        Args:
            images: a file, a folder, a glob, or a list of these; or a picture of Pillow, a uint8 array or tensor
                (H, W) or (H, W, C), or a list of these, of any size. In a list the channels may be first.
            settings: `checkpoint`, `top_k`, `batch_size`, `invert`, `accelerator`, `precision` and
                `trusted_targets` of `vgg-predict`.

        Raises:
            InputError: there is no such image, or one cannot be read.
        """
        with errors_in_one_line():
            listed = listed_images(images)
            kinds = {isinstance(one, str | os.PathLike) for one in listed}
            if len(kinds) > 1:
                raise InputError("images: has paths and pictures; give only paths or only pictures")
            are_files = True in kinds
            names = list(map(os.fspath, listed)) if are_files else ["none"]
            config, _ = self._composed("predict", [], settings, images=names)
            wanted = check_section(to_plain(config), Predict)
            trust(wanted.trusted_targets)
            paths = find_images(names).paths if are_files else []
            (trained,) = find_trained([self], wanted.checkpoint)
            predictor = load_trained(trained, wanted.accelerator, wanted.precision)
            if not are_files:
                return classify_pictures(
                    listed, predictor, wanted.batch_size, wanted.top_k, wanted.invert
                )
            found, unreadable = classify(
                paths, predictor, wanted.batch_size, wanted.top_k, wanted.invert
            )
            if unreadable:
                raise unreadable[0]
            return found

    def draw(self, *figures: str, **settings: Any) -> "list[Picture]":
        """Returns figures as `vgg-visualize` draws them, with their titles and text; writes no file.

        Args:
            figures: names of figures, e.g. `"confusion"`; none: all that can be drawn.
            settings: settings of the command by name, e.g. `split="val"`, `images=12`.

        Raises:
            InputError: a figure cannot be drawn.
        """
        chosen = {"figures": list(figures)} if figures else {}
        with errors_in_one_line():
            config, typed = self._composed("visualize", [], settings, **chosen)
            pictures = draw(config, typed)
        show_figures()
        return pictures

    def export(self, **settings: Any) -> Path:
        """Writes the programs as `vgg-export` does; returns their folder.

        Args:
            settings: settings of the command by name, e.g. `formats=["safetensors"]`.

        Raises:
            InputError: the network cannot be exported.
            TrainingError: the output of a program differs from the network's.
        """
        with errors_in_one_line():
            config, typed = self._composed("export", [], settings)
            return export(config, typed)

    def history(self) -> Any:
        """Returns the metrics of each epoch: a DataFrame if pandas is installed, otherwise a list of dicts."""
        rows = [
            {
                name: int(value) if name in COUNTS else float(value) if value else math.nan
                for name, value in row.items()
            }
            for row in self.epochs()
        ]
        if find_spec("pandas") is None:
            return rows
        import pandas as pd

        return pd.DataFrame(rows)

    def _composed(
        self,
        command: str,
        overrides: Sequence[str],
        settings: dict[str, Any],
        **chosen: Any,
    ) -> tuple[DictConfig, list[str]]:
        """Returns the config of a command for this run, and the overrides that compose it.

        Args:
            command: name of the command.
            overrides: overrides of the caller.
            settings: settings of the caller.
            chosen: settings that the arguments of the method give.

        Raises:
            InputError: a setting is not one of the method, or an override cannot be applied.
        """
        typed = typed_overrides(overrides, settings)
        taken = {"run", *chosen, *NOT_OF_METHODS[command]}
        fields = COMMANDS[command].model_fields
        names = [field.alias or name for name, field in fields.items() if name not in taken]
        allowed = f"allowed: {', '.join(names)}"
        for override in typed:
            key, value = key_of(override), override.partition("=")[2]
            if key in taken:
                raise ConfigError(f"{key}: is not a setting of this method; {allowed}")
            if key.partition(".")[0] not in (*names, "hydra"):
                meant = hint(key, names, value, command)
                raise ConfigError(f"unknown key {key}; {meant}{allowed}")
        typed = typed_overrides(overrides, {"run": self.path, **chosen, **settings})
        return compose(*typed, command=command), typed

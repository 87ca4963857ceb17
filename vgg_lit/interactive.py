"""Training, evaluation and prediction from Python, in this process; the same as the commands.

import vgg_lit
run = vgg_lit.train("model=vgg16_bn", "data=cifar10", seed=1)
run.history()
run.evaluate(flip=True)
run.predict("photos")[0].likeliest
config = vgg_lit.compose("model=vgg16_bn")
"""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from vgg_lit.config.checks import check_section, to_plain
from vgg_lit.config.group_options import config_folder
from vgg_lit.config.hydra_versions import VERSION_BASE
from vgg_lit.config.overrides import as_overrides
from vgg_lit.config.refusals import explain_refusal, with_key
from vgg_lit.config.resolvers import register_resolvers
from vgg_lit.config.schema import Predict
from vgg_lit.errors import ConfigError, InputError, Preempted
from vgg_lit.evaluate import evaluate
from vgg_lit.evaluation.prediction import (
    Prediction,
    Predictor,
    classify,
    classify_tensor,
    find_images,
    load_trained,
)
from vgg_lit.evaluation.trained import find_trained
from vgg_lit.runs import Run
from vgg_lit.system.ending_signals import ending_signals
from vgg_lit.system.first_line import announce_torch
from vgg_lit.targets import trust
from vgg_lit.training.starting import prepare
from vgg_lit.training_task import train

COUNTS = ("epoch", "step")
"""Columns of `metrics.csv` that are whole numbers."""


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
        config = compose(*overrides, **{"run": self.path, **settings}, command="evaluate")
        with _errors_in_one_line():
            return evaluate(config)

    def predict(self, images: Any, **settings: Any) -> list[Prediction]:
        """Returns the likeliest classes of images; writes no file.

        Args:
            images: a file, a folder, a glob, or a list of these; or a list of pictures of Pillow or uint8
                arrays (H, W) or (H, W, C), of any size.
            settings: `checkpoint`, `top_k`, `batch_size`, `invert`, `accelerator`, `precision` and
                `trusted_targets` of `vgg-predict`.

        Raises:
            InputError: there is no such image, or one cannot be read.
        """
        listed = [images] if isinstance(images, str | os.PathLike) else list(images)
        are_files = all(isinstance(one, str | os.PathLike) for one in listed)
        names = [os.fspath(one) if are_files else f"image {i}" for i, one in enumerate(listed)]
        typed = {"run": self.path, "images": names or ["none"], **settings}
        wanted = check_section(to_plain(compose(command="predict", **typed)), Predict)
        trust(wanted.trusted_targets)
        paths = find_images(names).paths if are_files else []
        (trained,) = find_trained([self], wanted.checkpoint)
        predictor = load_trained(trained, wanted.accelerator, wanted.precision)
        if not are_files:
            return _classify_pictures(listed, names, predictor, wanted)
        found, unreadable = classify(
            paths, predictor, wanted.batch_size, wanted.top_k, wanted.invert
        )
        if unreadable:
            raise unreadable[0]
        return found

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


def _classify_pictures(
    pictures: Sequence[Any], names: Sequence[str], predictor: Predictor, wanted: Predict
) -> list[Prediction]:
    """Classifies pictures of Pillow and uint8 arrays, prepared as image files are."""
    import numpy as np
    import torch
    from PIL import Image

    from vgg_lit.data.fitting import fit_image

    found: list[Prediction] = []
    for start in range(0, len(pictures), wanted.batch_size):
        batch = slice(start, start + wanted.batch_size)
        prepared = []
        for name, picture in zip(names[batch], pictures[batch], strict=True):
            try:
                image = (
                    picture.copy()
                    if isinstance(picture, Image.Image)
                    else Image.fromarray(np.asarray(picture))
                )
            except (TypeError, ValueError, IndexError):
                raise InputError(
                    f"{name}: is not a picture; allowed: paths, pictures of Pillow, uint8 arrays "
                    "(H, W) or (H, W, 3)"
                ) from None
            fitted = fit_image(image, predictor.in_channels, predictor.source_size, predictor.fit)
            prepared.append(torch.from_numpy(fitted))
        images_BCHW = torch.stack(prepared)
        found += classify_tensor(images_BCHW, names[batch], predictor, wanted.top_k, wanted.invert)
    return found


def compose(*overrides: str, command: str = "train", **settings: Any) -> DictConfig:
    """Returns the config of a command, composed as in the shell but not yet checked.

    Args:
        overrides: arguments of the command, e.g. `"model=vgg16_bn"`, `"optimizer.lr=0.05"`.
        command: name of the command.
        settings: settings by name, e.g. `seed=1`; those in a section as `**{"optimizer.lr": 0.05}`.

    Raises:
        InputError: an override cannot be applied.
    """
    config = _composed(command, [*_checked(overrides), *as_overrides(settings)])
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def train_run(*overrides: str, **settings: Any) -> InteractiveRun:
    """Trains in this process, as `vgg-train` does, and returns the run. It is `vgg_lit.train`.

    In a notebook, the learning curves are shown during the training. An interrupted cell saves the
    training, and `vgg_lit.train(resume=...)` continues it.

    Args:
        overrides: arguments of the command, e.g. `"model=vgg16_bn"`, `"data=cifar10"`.
        settings: settings by name, e.g. `seed=1`; those in a section as `**{"optimizer.lr": 0.05}`.

    Raises:
        InputError: the config, the data or a checkpoint cannot be used; no files are left behind.
        TrainingError: the training failed.
        KeyboardInterrupt: a signal ended the training; the message tells what is saved.
    """
    announce_torch("train")
    config = _composed("train", prepare([*_checked(overrides), *as_overrides(settings)]))
    devices, nodes = (config.trainer.get(name, 1) for name in ("devices", "num_nodes"))
    if devices not in (1, "auto", [0]) or nodes != 1:
        raise ConfigError(
            f"trainer.devices={devices}: in Python, a training has one process; start several with "
            "the command vgg-train"
        )
    path = Path(config.hydra.run.dir)
    path.mkdir(parents=True, exist_ok=True)
    with open_dict(config):
        config.trainer.devices = 1 if devices == "auto" else devices
        config.hydra.runtime.output_dir = str(path.absolute())
    outer = HydraConfig.instance().cfg  # of a program that uses Hydra itself
    HydraConfig.instance().set_config(config)
    try:
        with _errors_in_one_line(), ending_signals:
            train(OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]))
    except Preempted as stop:
        raise KeyboardInterrupt(str(stop)) from None
    finally:
        HydraConfig.instance().cfg = outer
    return InteractiveRun(path)


def _composed(command: str, arguments: Sequence[str]) -> DictConfig:
    """Returns the config of a command together with Hydra's own settings."""
    register_resolvers()
    outer = GlobalHydra.instance().hydra  # of a program that uses Hydra itself
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(config_folder()), **VERSION_BASE):
            return hydra.compose(command, list(arguments), return_hydra_config=True)
    except Exception as error:  # Hydra raises many types, such as ValueError for a group of null
        raise InputError(explain_refusal(error, command, arguments)) from None
    finally:
        GlobalHydra.instance().hydra = outer


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Raises the errors of OmegaConf as `InputError`."""
    try:
        yield
    except OmegaConfBaseException as error:
        raise InputError(with_key(error)) from None


def _checked(overrides: Sequence[Any]) -> list[str]:
    """Returns overrides that are texts without flags.

    Raises:
        InputError: one is not.
    """
    for override in overrides:
        if not isinstance(override, str):
            raise InputError(f"{override!r}: is not an override; allowed: texts such as 'seed=1'")
        if override.startswith("-"):
            raise InputError(
                f"{override}: is a flag of the shell's command; allowed: overrides such as 'seed=1'"
            )
    return list(overrides)

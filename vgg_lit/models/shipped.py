"""Trained weights in the package: a folder for each, which holds the files of a run.

    shipped_folder("cifar10")     # config.yaml, metrics.json, README.md, checkpoints/last.safetensors
    fast_vgg(weights="cifar10")

`scripts/ship_weights.py` writes these folders. The weights are in half precision.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgg_lit.errors import InputError, unknown
from vgg_lit.models.variants import FAST_VGG
from vgg_lit.system.files import sha256

if TYPE_CHECKING:
    from vgg_lit.models.vgg import VGG

SHIPPED = {
    "cifar10": "74e8877ed1ef67ae93efa0c4989ddf2d7c1746f787db74ea1b2fdd3e1e99b9db",
    "fashion_mnist": "4d7b659ed8ab1f15273747c075d288115d278920d5276cd02478f1057ce9ccbe",
}
"""Name of the weights -> SHA-256 of their file."""

FOLDER = Path(__file__).resolve().parents[1] / "trained"
"""The folder of all shipped weights."""

FILE = Path("checkpoints", "last.safetensors")
"""The file of weights in the folder of a name."""


def is_shipped(name: str) -> bool:
    """Returns True if shipped weights have this name and no file or folder has it."""
    return name in SHIPPED and not Path(name).exists()


def shipped_folder(name: str) -> Path:
    """Returns the folder of shipped weights, after a check of their file.

    Raises:
        InputError: there are no such weights, or the file is damaged.
    """
    if name not in SHIPPED:
        raise unknown("weights", name, SHIPPED)
    file = FOLDER / name / FILE
    if not file.is_file() or sha256(file) != SHIPPED[name]:
        raise InputError(f"{file}: is missing or damaged; install vgg_lit again")
    return FOLDER / name


def fast_vgg(*, weights: str | None = None, **options: Any) -> "VGG":
    """Builds the network of `model=fast_vgg`, with random or shipped weights.

    Args:
        weights: "cifar10" or "fashion_mnist": returns that network in evaluation mode. It takes images that are normalised
            with the statistics in the README of the weights' folder. None: random weights.
        **options: options of `build`, only without `weights`.

    Raises:
        InputError: there are no such weights, or there are options beside them.
    """
    from vgg_lit.models.vgg import build  # imports torch

    if weights is None:
        return build(**{**FAST_VGG, **options})
    if options:
        raise InputError(f"fast_vgg: weights={weights} allows no option, such as {min(options)}")
    from safetensors import safe_open

    with safe_open(shipped_folder(weights) / FILE, "pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        content = json.loads(file.metadata()["checkpoint"])
    model = content["hyper_parameters"]["model"]
    net = build(**{name: value for name, value in model.items() if name != "_target_"})
    net.load_state_dict({name.removeprefix("net."): tensor for name, tensor in state.items()})
    return net.eval()

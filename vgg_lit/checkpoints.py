"""How a checkpoint file is checked and read.

A checkpoint holds tensors and plain Python values only, so it loads with `weights_only=True`: nothing
in a file from a stranger is run. It names its schema version.
"""

import os
from pathlib import Path
from typing import Any

import torch

from vgg_lit.errors import InputError

SCHEMA = 1
"""Version of the layout of our part of a checkpoint; raised when an older reader would misread it."""


def read_checkpoint(path: str | os.PathLike[str], map_location: Any = "cpu") -> dict[str, Any]:
    """The content of a checkpoint of ours.

    Raises:
        InputError: no such file, a damaged one, or one that is not ours or of a newer schema.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such checkpoint")
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or hostile file
        reason = str(error).split("\n")[0][:200]
        raise InputError(f"{path}: is damaged or no checkpoint of vgg_lit ({reason})") from error
    ours = checkpoint.get("vgg_lit") if isinstance(checkpoint, dict) else None
    if not isinstance(ours, dict) or "schema" not in ours:
        raise InputError(f"{path}: is no checkpoint of vgg_lit")
    if not isinstance(ours["schema"], int) or not 1 <= ours["schema"] <= SCHEMA:
        raise InputError(
            f"{path}: has schema {ours['schema']}, this version of vgg_lit reads up to {SCHEMA}"
        )
    return checkpoint

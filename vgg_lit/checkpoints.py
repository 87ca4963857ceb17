"""How a checkpoint file is written, checked and read.

A checkpoint holds tensors and plain Python values only, so it loads with `weights_only=True`: nothing
in a file from a stranger is run. It names its schema version.
"""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from vgg_lit.errors import InputError
from vgg_lit.files import replacing

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


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint files, written so that a crash leaves the last good one.

    Lightning 2.6 writes through a temporary folder that may lie on another file system, and does not
    flush: a full disk then destroys the previous file.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Writes to a temporary file beside `path`, flushes and renames."""
        assert storage_options is None
        with replacing(Path(path)) as temporary:
            torch.save(checkpoint, temporary)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Reads with `weights_only=True`, whatever is asked for."""
        return read_checkpoint(path, map_location or "cpu")

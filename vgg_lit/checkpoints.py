"""How a checkpoint file is checked and read.

A checkpoint holds tensors and plain Python values only, so it loads with `weights_only=True`: nothing
in a file from a stranger is run, and nothing in it takes more memory than the file has bytes. It names
its schema version.
"""

import os
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import torch

from vgg_lit.errors import InputError
from vgg_lit.targets import one_line

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
        _check_archive(path)
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or hostile file
        reason = one_line(error)[:200]
        raise InputError(f"{path}: is damaged or no checkpoint of vgg_lit ({reason})") from error
    ours = checkpoint.get("vgg_lit") if isinstance(checkpoint, dict) else None
    if not isinstance(ours, dict) or "schema" not in ours:
        raise InputError(f"{path}: is no checkpoint of vgg_lit")
    if not isinstance(ours["schema"], int) or not 1 <= ours["schema"] <= SCHEMA:
        raise InputError(
            f"{path}: has schema {ours['schema']}, this version of vgg_lit reads up to {SCHEMA}"
        )
    return checkpoint


def _check_archive(path: Path) -> None:
    """Whether a file unpacks to no more than it has bytes; torch would make room for all it promises.

    Raises:
        ValueError: it is no archive, its parts are compressed or share bytes, or it asks for empty memory.
    """
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        size = sum(part.file_size for part in parts)
        if size > path.stat().st_size or any(part.compress_type for part in parts):
            raise ValueError("its parts are compressed, which torch.save does not do")
        for part in parts:
            if part.filename.endswith("data.pkl"):
                codes = pickletools.genops(archive.read(part))
                if any(str(argument).endswith("bytearray") for _, argument, _ in codes):
                    raise ValueError("it holds a bytearray, which may be of any size")

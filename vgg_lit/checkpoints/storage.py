"""How a checkpoint file is written, checked and read.

A checkpoint holds tensors and plain Python values only, so it loads with `weights_only=True`: nothing
in a file from a stranger is run, and nothing in it takes more memory than the file has bytes. It names
its schema version. `<file>.sha256` beside it, in the format of `sha256sum`, tells a damaged file from a
whole one.
"""

import copy
import hashlib
import os
import pickletools
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from vgg_lit.errors import InputError, TrainingError, one_line
from vgg_lit.system.files import replacing, sha256, write_text

SCHEMA = 1
"""Version of the layout of our part of a checkpoint; raised when an older reader would misread it."""

LEARNT = ("state_dict", "current_model_state", "optimizer_states")
"""The parts of a checkpoint in which every number is finite."""


def write_checkpoint(checkpoint: dict[str, Any], path: Path, keep_as: Path | None = None) -> None:
    """Replaces a checkpoint so that a crash at any moment leaves a whole one that its digest matches.

    Args:
        checkpoint: tensors and plain Python values.
        path: the file.
        keep_as: the name under which the file that is replaced is kept.

    Raises:
        TrainingError: weights or optimiser state are not finite, or the disk does not take the file;
            what was there before is as it was.
    """
    if not all_finite([checkpoint.get(part) for part in LEARNT]):
        raise TrainingError(
            f"{path}: not written, since the weights or the optimiser's state are not finite; "
            "the checkpoints there are hold finite ones"
        )
    try:
        with replacing(path) as temporary:
            digest = _save(checkpoint, temporary)
            replaced = (digests(path) or [sha256(path)]) if path.is_file() else []
            # Until the new file is in its place, the old one is still right.
            _note_digests(path, [digest, *replaced])
            if keep_as and replaced:
                _note_digests(keep_as, [*replaced, *digests(keep_as)])
                path.replace(keep_as)
        _note_digests(path, [digest])
        if keep_as and replaced:
            _note_digests(keep_as, replaced)
    except OSError as error:
        raise TrainingError(
            f"{path}: cannot be written: {error.strerror or error}; the checkpoints before it are whole"
        ) from error


def read_checkpoint(path: str | os.PathLike[str], map_location: Any = "cpu") -> dict[str, Any]:
    """The content of a checkpoint of ours.

    Raises:
        InputError: no such file, a damaged one, or one that is not ours or of a newer schema.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such checkpoint")
    if _digest_file(path).is_file() and sha256(path) not in digests(path):
        raise InputError(f"{path}: is damaged: its SHA-256 is not the one in {_digest_file(path)}")
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


def set_aside(path: Path) -> Path:
    """Renames a damaged checkpoint, so that nothing takes it for a good one; returns its new name."""
    damaged = path.with_name(f"{path.name}.damaged")
    path.replace(damaged)
    _digest_file(path).unlink(missing_ok=True)
    return damaged


def digests(path: Path) -> list[str]:
    """The SHA-256 noted beside a checkpoint: two while it is being replaced, none of a stranger's."""
    try:
        lines = _digest_file(path).read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [line.split()[0] for line in lines if line.strip()]


def all_finite(content: Any) -> bool:
    """Whether no number in any tensor of a nested structure is infinite or not a number."""
    checks = [tensor.isfinite().all() for tensor in _tensors(content) if tensor.is_floating_point()]
    return not checks or bool(torch.stack([check.cpu() for check in checks]).all())


def on_host(content: dict[str, Any]) -> dict[str, Any]:
    """A copy that training on does not change, in main memory."""
    copies = {id(tensor): tensor.detach().to("cpu", copy=True) for tensor in _tensors(content)}
    return copy.deepcopy(content, copies)  # as deepcopy notes what it has copied already


def _tensors(content: Any) -> Iterator[Tensor]:
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from _tensors(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _tensors(value)


class _Digesting:
    """A file to write that counts its SHA-256, and keeps the error that torch replaces by its own."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


def _save(checkpoint: dict[str, Any], path: Path) -> str:
    """Writes the file; returns its SHA-256."""
    with path.open("wb") as file:
        digesting = _Digesting(file)
        try:
            torch.save(checkpoint, digesting)  # type: ignore[arg-type]  # it needs no more than these
        except RuntimeError:
            if digesting.error:
                raise digesting.error from None
            raise
        file.flush()
        os.fsync(file.fileno())  # a disk may find only now that it is full
    return digesting.digest.hexdigest()


def _digest_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _note_digests(path: Path, noted: Sequence[str]) -> None:
    write_text(_digest_file(path), "".join(f"{digest}  {path.name}\n" for digest in noted))


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

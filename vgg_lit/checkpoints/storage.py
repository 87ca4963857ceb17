"""Writes, checks and reads checkpoint files.

A checkpoint holds tensors, plain Python values and its schema version, so it loads with
`weights_only=True`: an untrusted file cannot run code, and needs no more memory than the file has bytes.
`<file>.sha256` beside it, in the format of `sha256sum`, is used to detect a damaged file.
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

from vgg_lit.checkpoints.pickles import check_pickle, why_refused
from vgg_lit.checkpoints.portable import SUFFIX, read_portable
from vgg_lit.errors import InputError, TrainingError, one_line
from vgg_lit.system.files import replacing, sha256, write_text
from vgg_lit.system.hardware import synchronise
from vgg_lit.system.operating_system import replace
from vgg_lit.system.small_files import check_nesting, read_small

SCHEMA = 1
"""Version of the checkpoint layout of vgg_lit; increased when an older reader would misread it."""

MOST_EXPANSION = 4
"""Limit on the bytes of all tensors, as a multiple of the file's: tensors may share their values."""

LEARNT = ("state_dict", "current_model_state", "optimizer_states")
"""The parts of a checkpoint in which all numbers have to be finite."""


def write_checkpoint(checkpoint: dict[str, Any], path: Path, keep_as: Path | None = None) -> None:
    """Replaces a checkpoint atomically; a crash at any moment leaves a complete file and its digest.

    Args:
        checkpoint: tensors and plain Python values.
        path: the file.
        keep_as: new name of the file that is replaced.

    Raises:
        TrainingError: weights or optimiser state are not finite, or the file cannot be written; the
            previous file is unchanged.
    """
    if not all_finite([checkpoint.get(part) for part in LEARNT]):
        raise TrainingError(
            f"{path}: not written: the weights or the optimiser's state are not finite; "
            "the existing checkpoints are finite"
        )
    try:
        with replacing(path) as temporary:
            digest = _save(checkpoint, temporary)
            replaced = (digests(path) or [sha256(path)]) if path.is_file() else []
            # Both digests are valid until the new file has replaced the old one.
            _note_digests(path, [digest, *replaced])
            if keep_as and replaced:
                _note_digests(keep_as, [*replaced, *digests(keep_as)])
                replace(path, keep_as)
        _note_digests(path, [digest])
        if keep_as and replaced:
            _note_digests(keep_as, replaced)
    except OSError as error:
        raise TrainingError(
            f"{path}: cannot be written: {error.strerror or error}; the earlier checkpoints are intact"
        ) from error


def read_checkpoint(path: str | os.PathLike[str], map_location: Any = "cpu") -> dict[str, Any]:
    """Reads a checkpoint of vgg_lit.

    Raises:
        InputError: the file does not exist, is damaged, is not a checkpoint of vgg_lit, or has a newer
            schema.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such checkpoint")
    if _digest_file(path).is_file() and sha256(path) not in digests(path):
        raise InputError(f"{path}: is damaged: its SHA-256 is not the one in {_digest_file(path)}")
    checkpoint = (
        read_portable(path, map_location) if path.suffix == SUFFIX else _load(path, map_location)
    )
    ours = checkpoint.get("vgg_lit") if isinstance(checkpoint, dict) else None
    if not isinstance(ours, dict) or "schema" not in ours:
        raise InputError(f"{path}: is not a checkpoint of vgg_lit")
    if not isinstance(ours["schema"], int) or not 1 <= ours["schema"] <= SCHEMA:
        raise InputError(
            f"{path}: has schema {ours['schema']}, this version of vgg_lit reads up to {SCHEMA}"
        )
    return checkpoint


def _load(path: Path, map_location: Any) -> Any:
    """Reads a file of `torch.save`."""
    try:
        check_archive(path)
        content = torch.load(path, map_location=map_location, weights_only=True)
        check_content(content, path.stat().st_size)
        return content
    except Exception as error:  # torch raises many types for a damaged or hostile file
        reason = why_refused(error) or one_line(error)[:200]
        raise InputError(f"{path}: is damaged or not a checkpoint of vgg_lit ({reason})") from error


TRAINING_STATE = ("optimizer_states", "lr_schedulers", "loops", "callbacks", "CustomDataModule")
"""Entries of a checkpoint that only a resumed training reads; Lightning names the last one by the class."""


def keep_weights(path: Path) -> None:
    """Writes a checkpoint again without the state that only a resumed training reads."""
    content = read_checkpoint(path)
    kept = {name: value for name, value in content.items() if name not in TRAINING_STATE}
    write_checkpoint(kept, path)


def remove_checkpoint(path: Path) -> None:
    """Deletes a checkpoint and its digests."""
    path.unlink()
    _digest_file(path).unlink(missing_ok=True)


def set_aside(path: Path, reason: str = "damaged") -> Path:
    """Renames a checkpoint to `<name>.<reason>`, so that it is not used; returns the new path."""
    renamed = path.with_name(f"{path.name}.{reason}")
    replace(path, renamed)
    _digest_file(path).unlink(missing_ok=True)
    return renamed


def digests(path: Path) -> list[str]:
    """Returns the SHA-256 digests in the `.sha256` file: two while the checkpoint is being replaced, or none."""
    content = read_small(_digest_file(path)) or b""
    lines = content.decode("ascii", "replace").splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def all_finite(content: Any) -> bool:
    """Returns True if the tensors of a nested structure have no infinite and no NaN values.

    Waits for each device once, not for each tensor.
    """
    checks: dict[torch.device, list[Tensor]] = {}
    for tensor in _tensors(content):
        if tensor.is_floating_point():
            checks.setdefault(tensor.device, []).append(tensor.isfinite().all())
    return all(bool(torch.stack(of_device).all()) for of_device in checks.values())


def on_host(content: dict[str, Any]) -> dict[str, Any]:
    """Returns a deep copy with all tensors in main memory, which further training does not change.

    Waits for a CUDA device once: the copies are in pinned memory, which torch keeps for the next ones.
    """
    copies: dict[int, Tensor] = {}
    for tensor in _tensors(content):
        copied = torch.empty_like(tensor, device="cpu", pin_memory=tensor.is_cuda)
        copies[id(tensor)] = copied.copy_(tensor.detach(), non_blocking=tensor.is_cuda)
    for device in {tensor.device for tensor in _tensors(content) if tensor.is_cuda}:
        synchronise(device)
    return copy.deepcopy(content, copies)  # the memo of deepcopy: id -> existing copy


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
    """A file wrapper that computes the SHA-256, and stores the OSError that torch replaces."""

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
            torch.save(checkpoint, digesting)  # type: ignore[arg-type]  # write and flush are enough
        except RuntimeError:
            if digesting.error:
                raise digesting.error from None
            raise
        file.flush()
        os.fsync(file.fileno())  # a full disk may raise only here
    return digesting.digest.hexdigest()


def _digest_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _note_digests(path: Path, noted: Sequence[str]) -> None:
    write_text(_digest_file(path), "".join(f"{digest}  {path.name}\n" for digest in noted))


def check_content(content: Any, size: int) -> None:
    """Checks that the content of a file can be copied and compared in about the memory of the file.

    Args:
        content: loaded tensors and plain values.
        size: bytes of the file.

    Raises:
        ValueError: values are too many, nested too deeply, or integers of more than 64 bits; the tensors
            are expanded to many times the file.
    """
    check_nesting(content)
    total = 0
    for tensor in _tensors(content):
        total += tensor.numel() * tensor.element_size()
    if total > MOST_EXPANSION * size:
        raise ValueError("its tensors are expanded to many times the size of the file")


def check_archive(path: Path) -> None:
    """Checks that a file does not unpack to more bytes than its size; torch would allocate them all.

    Raises:
        ValueError: it is not an archive, its parts are compressed or share bytes, or its pickle is refused by
            `check_pickle`.
    """
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        size = sum(part.file_size for part in parts)
        if size > path.stat().st_size or any(part.compress_type for part in parts):
            raise ValueError("its parts are compressed, which torch.save does not do")
        for part in parts:
            if part.filename.endswith("data.pkl"):
                check_pickle(pickletools.genops(archive.read(part)))

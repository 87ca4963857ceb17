"""The folder of a run's checkpoints: `best.ckpt`, `last.ckpt`, `previous.ckpt`; predictions of the best one."""

from pathlib import Path

from vgg_lit.checkpoints.portable import SUFFIX
from vgg_lit.errors import InputError
from vgg_lit.system.terminal import warn

FOLDER = "checkpoints"
"""Its name in a run directory."""


def find_checkpoint(folder: Path, name: str = "best") -> Path:
    """Returns the path of a checkpoint.

    Args:
        folder: folder of checkpoints.
        name: `best`, `last`, or a file. Without a validation split, `best` is the last checkpoint.

    Raises:
        InputError: there is no such checkpoint; the message names the available ones.
    """
    for stem in (name, "last") if name == "best" else (name,):
        for suffix in (".ckpt", SUFFIX):
            file = folder / f"{stem}{suffix}"
            if file.is_file():
                return file
    if Path(name).is_file():
        return Path(name)
    files = [file for suffix in (".ckpt", SUFFIX) for file in folder.glob(f"*{suffix}")]
    present = sorted({file.stem for file in files})
    available = f"available: {', '.join(present)}" if present else "the run has not written any"
    raise InputError(f"checkpoint={name}: not in {folder}; {available}")


def newest_checkpoint(folder: Path) -> tuple[Path | None, dict[Path, str]]:
    """Returns the newest intact checkpoint, and the damage of each newer one.

    The path is None if no checkpoint is intact.
    """
    from vgg_lit.checkpoints.storage import read_checkpoint  # imports torch

    damages: dict[Path, str] = {}
    for name in ("last", "previous", "best"):
        path = folder / f"{name}.ckpt"
        try:
            read_checkpoint(path)
        except InputError as error:
            if path.is_file():
                damages[path] = str(error)
        else:
            return path, damages
    return None, damages


def predictions_file(run: Path, split: str) -> Path:
    """Returns the file in a run directory for the outcomes of its best checkpoint on the run's own data."""
    return run / f"predictions_{split}.csv"


def remove_predictions(run: Path) -> None:
    """Removes the predictions of a run before its best checkpoint is replaced."""
    for split in ("val", "test"):
        file = predictions_file(run, split)
        try:
            file.unlink(missing_ok=True)
        except PermissionError:  # on Windows: another program has opened it
            warn(f"{file}: cannot be removed; its predictions are of an earlier checkpoint")

"""The folder of a run's checkpoints: `best.ckpt`, `last.ckpt`, `previous.ckpt`; predictions of the best one."""

from pathlib import Path

from vgg_lit.checkpoints.portable import SUFFIX
from vgg_lit.errors import InputError
from vgg_lit.system.small_files import read_json
from vgg_lit.system.terminal import warn
from vgg_lit.tables import epoch_texts, read_epochs

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


def epoch_without_checkpoint(run: Path) -> int | None:
    """Returns the epoch of a run's final metrics if its checkpoint was removed; else, or if unknown, None.

    `callbacks.checkpointing.keep=last` removes the best checkpoint. The last one then has other metrics, unless
    the last epoch was the best.
    """
    if any((run / FOLDER / f"best{suffix}").is_file() for suffix in (".ckpt", SUFFIX)):
        return None
    try:
        final: dict[str, float] = read_json(run / "metrics.json", dict[str, int | float])
        rows = read_epochs(run / "metrics.csv")
    except InputError:  # damaged
        return None
    texts = epoch_texts({name: final[name] for name in final if name.startswith("val/")})
    epochs = [
        int(row["epoch"])
        for row in rows
        if texts and all(row.get(name, text) == text for name, text in texts.items())
    ]
    return epochs[-1] if epochs and epochs[-1] != int(rows[-1]["epoch"]) else None


def checkpoint_text(run: Path, checkpoint: Path) -> str:
    """Returns the path of a checkpoint, with a remark if the run's final metrics are of another one."""
    epoch = epoch_without_checkpoint(run) if checkpoint.parent == run / FOLDER else None
    remark = f" (no best.ckpt; the recorded metrics are of epoch {epoch})" if epoch else ""
    return f"{checkpoint}{remark}"


def remove_predictions(run: Path) -> None:
    """Removes the predictions of a run before its best checkpoint is replaced."""
    for split in ("val", "test"):
        file = predictions_file(run, split)
        try:
            file.unlink(missing_ok=True)
        except PermissionError:  # on Windows: another program has opened it
            warn(f"{file}: cannot be removed; its predictions are of an earlier checkpoint")

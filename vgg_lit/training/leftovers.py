"""Files of an attempt that ended before it had written `config.yaml`; a new run must not take them for its own."""

from pathlib import Path

from vgg_lit.checkpoints.folder import FOLDER
from vgg_lit.runs import check_vacant

FILES = ("data.json", "loggers.json", "metrics.csv", "metrics.json", "init.json", "damaged.txt")
"""Files that a run writes after `config.yaml`."""

CHECKPOINTS = ("best.ckpt", "last.ckpt", "previous.ckpt")


def remove_leftovers(path: Path) -> None:
    """Removes files of an earlier attempt from the directory of a new run.

    `found.json` stays: this attempt may have written it.

    Raises:
        InputError: the directory holds a run.
    """
    check_vacant(path)
    checkpoints = [path / FOLDER / name for name in CHECKPOINTS]
    digests = [file.with_name(f"{file.name}.sha256") for file in checkpoints]
    for file in (*map(path.joinpath, FILES), *checkpoints, *digests):
        file.unlink(missing_ok=True)

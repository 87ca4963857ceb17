"""Files of an attempt that ended before it had written `config.yaml`; a new run must not take them for its own."""

from pathlib import Path

from vgg_lit.checkpoints.folder import FOLDER
from vgg_lit.checkpoints.storage import set_aside
from vgg_lit.runs import check_vacant

FILES = ("data.json", "loggers.json", "metrics.csv", "metrics.json", "init.json", "damaged.txt")
"""Files that a run writes after `config.yaml`."""

CHECKPOINTS = ("best.ckpt", "last.ckpt", "previous.ckpt")


def set_leftovers_aside(path: Path) -> None:
    """Renames files of an earlier attempt in the directory of a new run to `<name>.replaced`.

    They are kept, because the user may have put a file of the same name there.

    `found.json` stays: this attempt may have written it.

    Raises:
        InputError: the directory holds a run.
    """
    check_vacant(path)
    for file in (*map(path.joinpath, FILES), *(path / FOLDER / name for name in CHECKPOINTS)):
        if file.is_file():
            set_aside(file, "replaced")

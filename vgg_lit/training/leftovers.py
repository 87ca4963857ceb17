"""Files that are in the directory of a run before it begins.

A new run must not take those of an attempt that ended before it had written `config.yaml` for its own.
"""

from collections.abc import Iterable
from pathlib import Path

from vgg_lit.checkpoints.folder import FOLDER
from vgg_lit.checkpoints.storage import set_aside
from vgg_lit.runs import check_vacant
from vgg_lit.system.files import check_names

FILES = ("data.json", "loggers.json", "metrics.csv", "metrics.json", "init.json", "damaged.txt")
"""Files that a run writes after `config.yaml`."""

CHECKPOINTS = ("best.ckpt", "last.ckpt", "previous.ckpt")

FOUND = "found.json"


def check_free(path: Path, metrics: Iterable[str]) -> None:
    """Checks that a run can write its files and folders in a directory, before it trains.

    Args:
        path: run directory.
        metrics: names of the metrics, whose matrices are written.

    Raises:
        InputError: a folder has the name of a file, or a file that of a folder.
    """
    names = list(metrics)
    of_metrics = (*(f"{name}.csv" for name in names), *(f"figures/{name}.png" for name in names))
    first = ("overrides.txt", "environment.json", "status.json")
    check_names(path, (*FILES, FOUND, *first, *of_metrics), (FOLDER, "figures"))


def set_found_aside(path: Path) -> None:
    """Renames `found.json` of an earlier attempt in the directory of a new run, before this one writes it."""
    if (path / FOUND).is_file():
        set_aside(path / FOUND, "replaced")


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

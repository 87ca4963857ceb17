"""Trained weights of the package, in the interface of a run.

(run,) = find_networks(None, weights="cifar10")
run.checkpoint("last")
"""

from collections.abc import Sequence
from pathlib import Path

from vgg_lit.errors import InputError
from vgg_lit.models.shipped import shipped_folder
from vgg_lit.runs import Run
from vgg_lit.system.files import ABANDONED, check_names, check_writable, remove_unfinished
from vgg_lit.system.log_folders import RESULTS

ENDINGS = (".csv", ".html", ".json", ".md", ".pdf", ".png", ".svg")
"""Endings of the names of results."""


class ShippedRun(Run):
    """The run of shipped weights; results are written to `logs/weights/<name>`.

    Args:
        name: name of the weights.

    Raises:
        InputError: there are no such weights, or their file is damaged.
    """

    def __init__(self, name: str) -> None:
        super().__init__(shipped_folder(name))

    @property
    def outputs(self) -> Path:
        """The folder for results, since the package may be read-only."""
        return Path("logs", "weights", self.path.name)


def check_outputs(run: Run) -> None:
    """Checks that results of a run can be written; removes what killed commands have left.

    Raises:
        InputError: a folder cannot be written, or a folder has the name of a file.
    """
    for folder in (run.outputs, *map(run.outputs.joinpath, RESULTS)):
        check_writable(folder, f"run={run.path}", "copy the run into a folder of yours")
        check_names(folder, (path.name for path in folder.glob("*.*") if path.suffix in ENDINGS))
        remove_unfinished(folder, ABANDONED)


def find_networks(run: str | Sequence[str] | None, weights: str | None) -> list[Run]:
    """Returns the runs of `run=<run>` or a list of runs, or that of `weights=<name>`.

    Raises:
        InputError: there is no such run or name, or not exactly one is set.
    """
    if (run is None) == (weights is None):
        raise InputError("run: set exactly one of run=<run directory> and weights=<name>")
    if weights is not None:
        return [ShippedRun(weights)]
    return [Run(path) for path in ([run] if isinstance(run, str) else run or ())]

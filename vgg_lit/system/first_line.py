"""The first line of a command: it is printed before torch is imported, which takes seconds."""

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from vgg_lit.system.launch import SWEEP_JOB, prints_errors


class _Announcement(MetaPathFinder):
    """Prints a line when torch is about to be imported, once; finds no module itself."""

    def __init__(self, line: str) -> None:
        self._line = line

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns None, so that the next finder of Python finds the module."""
        if fullname == "torch" and self._line:
            line, self._line = self._line, ""
            print(line, flush=True)
        return None


def announce_torch(command: str) -> None:
    """Makes the import of torch print a line; invalid settings that are found earlier print none.

    Only the first process of a machine prints it, and no job of a sweep, whose output the sweep shows.
    """
    # That of an earlier command of this process, which was refused before it imported torch.
    sys.meta_path[:] = [one for one in sys.meta_path if not isinstance(one, _Announcement)]
    if "torch" not in sys.modules and SWEEP_JOB not in os.environ and prints_errors():
        sys.meta_path.insert(0, _Announcement(f"{command}: loading torch ..."))

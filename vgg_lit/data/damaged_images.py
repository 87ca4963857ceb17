"""The error that names the damaged files of a folder."""

from collections.abc import Mapping
from pathlib import Path

from vgg_lit.errors import InputError
from vgg_lit.system.files import shown_path

_NAMED = 20  # damaged files that a message names


class DamagedImages(InputError):
    """Damaged files of a folder.

    Args:
        root: the folder.
        reasons: the problem of each damaged file, by path relative to `root`.
        total: number of files that were read, damaged or not.
    """

    def __init__(self, root: Path, reasons: Mapping[str, str], total: int) -> None:
        self.reasons = dict(reasons)
        first = sorted(reasons)[:_NAMED]
        named = ", ".join(f"{shown_path(path)} ({reasons[path]})" for path in first)
        more = f" and {len(reasons) - len(first):,} more" if len(reasons) > len(first) else ""
        super().__init__(
            f"data.root={shown_path(root)}: {len(reasons):,} of {total:,} images cannot be used: {named}"
            f"{more}; repair or remove them, or leave them out with data.source.damaged=skip"
        )

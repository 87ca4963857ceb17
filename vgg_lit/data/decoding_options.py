"""The settings that folders and library data sets share."""

from typing import get_args

from vgg_lit.errors import InputError
from vgg_lit.system.hardware import count_cores
from vgg_lit.value_types import Fit


def check_fit_name(fit: str) -> None:
    """Checks the name of a fit.

    Raises:
        InputError: it is unknown.
    """
    if fit not in get_args(Fit):
        raise InputError(f"fit={fit}: unknown; allowed: {', '.join(get_args(Fit))}")


def checked_workers(
    in_channels: int, size: int, num_workers: int | None, test_fraction: float, fit: str
) -> int:
    """Checks the settings that folders and library data sets share; returns the number of workers.

    Raises:
        InputError: a value is out of range.
    """
    if in_channels not in (1, 3):
        raise InputError(f"in_channels={in_channels}: must be 1 (grey) or 3 (colour)")
    if size < 1:
        raise InputError(f"size={size}: must be at least 1 pixel")
    if num_workers is not None and num_workers < 0:
        raise InputError(
            f"num_workers={num_workers}: must be 0 or more, or null for the available cores"
        )
    if not 0 < test_fraction < 1:
        raise InputError(f"test_fraction={test_fraction}: must be above 0 and below 1")
    check_fit_name(fit)
    return min(8, count_cores()) if num_workers is None else num_workers

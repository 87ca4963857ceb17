"""`status.json` of a run directory, written by its ranks, read by sweeps, studies and resumed runs."""

import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from vgg_lit.system.files import read_json, write_json

Status = Literal["running", "done", "pruned", "failed", "preempted"]


def write_status(
    path: Path, status: Status, reason: str | None = None, **details: str | int
) -> None:
    """Writes status, reason, UTC time and process number to `status.json` in a run directory."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    content = {"status": status, "reason": reason, "time": now, "process": os.getpid(), **details}
    write_json(path / "status.json", content)


def read_status(path: Path) -> dict[str, Any]:
    """Reads `status.json` of a run directory; empty if there is none.

    Raises:
        InputError: the file cannot be read.
    """
    return read_json(path / "status.json")

"""`status.json` of a run directory, written by its ranks, read by sweeps, studies and resumed runs."""

import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, get_args

from vgg_lit.errors import InputError
from vgg_lit.system.files import to_json, write_json
from vgg_lit.system.small_files import read_json

Status = Literal["running", "done", "pruned", "failed", "preempted"]


def write_status(
    path: Path, status: Status, reason: str | None = None, **details: str | int
) -> None:
    """Writes status, reason, UTC time and process number to `status.json` in a run directory.

    On a full disk, an existing file is overwritten, which needs no space.

    Raises:
        OSError: it cannot be written.
    """
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    content = {"status": status, "reason": reason, "time": now, "process": os.getpid(), **details}
    file = path / "status.json"
    try:
        write_json(file, content)
    except OSError:
        if not file.is_file():
            raise
        with file.open("r+", encoding="utf-8", newline="\n") as existing:
            existing.write(to_json(content))
            existing.truncate()


def read_status(path: Path) -> dict[str, Any]:
    """Reads `status.json` of a run directory; empty if there is none.

    Raises:
        InputError: the file cannot be read.
    """
    file = path / "status.json"
    content: dict[str, Any] = read_json(file, dict[str, str | int | None])
    if content and content.get("status") not in get_args(Status):
        allowed = ", ".join(get_args(Status))
        raise InputError(
            f"{file}: cannot be read: status={content.get('status')}; allowed: {allowed}"
        )
    return content

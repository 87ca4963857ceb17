"""The directories that `run=...` and `runs=...` name: a path, `latest`, or a sweep.

select_run("latest")    # the run that was started last
newest_runs()           # the sweep or study of that run
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vgg_lit.errors import InputError
from vgg_lit.system.files import expanded
from vgg_lit.system.log_folders import ATTEMPT, RUNS
from vgg_lit.system.overrides import shell_words
from vgg_lit.system.small_files import read_json
from vgg_lit.system.terminal import visible

LATEST = "latest"

LARGEST_SWEEP = 2**25
"""Limit on the bytes of `sweep.json`, which holds the metrics of all jobs."""

JOBS = ("*", "trials/*")
"""The runs in the directory of a sweep, and of a study."""

MOST_JOBS = 10
"""Jobs of a sweep that a message lists."""


def select_run(path: str | os.PathLike[str], key: str = "run", outside: Path | None = None) -> Path:
    """Returns the directory of a run; `latest` is the run that was started last.

    Args:
        path: the directory, also in the home folder `~`, or `latest`.
        key: setting that messages name.
        outside: folder whose runs are not `latest`.

    Raises:
        InputError: there is no such run, it is a sweep or a study, whose runs the message lists, or a file
            of a run.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"{key}={path!r}: is not a path")
    found = Path(path)
    if not found.exists():
        found = expanded(path)
    if str(path) == LATEST and not found.exists():
        newest = newest_run(outside)
        if newest is None:
            raise InputError(f"{key}=latest: there is no run in logs/; give the path of a run")
        return newest
    if found.is_file():
        runs = (folder for folder in found.parents if (folder / "config.yaml").is_file())
        hint = f"; did you mean {key}={visible(str(run))}?" if (run := next(runs, None)) else ""
        raise InputError(f"{key}={path}: is a file; a run is a directory{hint}")
    if not found.is_dir():
        newest = newest_run()
        hint = f"; the newest run is {visible(str(newest))} ({key}=latest)" if newest else ""
        raise InputError(f"{key}={path}: there is no such directory{hint}")
    if (found / "config.yaml").is_file():
        return found
    places = (run for pattern in JOBS for run in _runs(found, pattern))
    jobs = [str(job) for job in sorted(places, key=_number)]
    if not jobs:
        raise InputError(f"{key}={path}: is not a run directory; it has no config.yaml")
    more = f" and {len(jobs) - MOST_JOBS} more" if len(jobs) > MOST_JOBS else ""
    listed = ", ".join(shell_words({key: job}) + _label(Path(job)) for job in jobs[:MOST_JOBS])
    raise InputError(f"{key}={path}: holds {len(jobs)} runs; choose one: {listed}{more}")


def run_label(run: Path) -> str:
    """Returns the name of a run's directory; a job or trial has that of its sweep or study in front."""
    path = run.absolute()
    if not path.name.isdigit():
        return path.name
    outer = path.parent.parent if path.parent.name == "trials" else path.parent
    return f"{outer.name}/{path.name}"


def all_runs() -> Iterator[Path]:
    """Yields the directories of the runs below logs/, also of sweeps and studies."""
    for place in RUNS:
        yield from _runs(Path("logs"), place)


def newest_run(outside: Path | None = None) -> Path | None:
    """Returns the run below logs/, but not below `outside`, that was started last; None if there is none."""
    left_out = outside.resolve() if outside else None
    runs = (run for run in all_runs() if left_out not in run.resolve().parents)
    return max(runs, key=start_time, default=None)


def newest_runs() -> Path:
    """Returns the sweep or study of the run that was started last, or that run if it is a single one.

    Raises:
        InputError: there is no run below logs/.
    """
    newest = newest_run()
    if newest is None:
        raise InputError("runs=latest: there is no run in logs/; give the path of a sweep")
    if newest.parent.name == "trials":
        return newest.parent.parent
    return newest.parent if newest.is_relative_to("logs/sweeps") else newest


def start_time(run: Path) -> float:
    """Returns the time at which a run was started, in seconds; a resumed run keeps it."""
    # environment.json is written once, the other files again by a resumed run.
    files = (run / name for name in ("environment.json", "overrides.txt", "config.yaml"))
    return next(file for file in files if file.is_file()).stat().st_mtime


def _runs(folder: Path, pattern: str) -> Iterator[Path]:
    """Yields the run directories of a pattern, without attempts that were set aside."""
    for file in folder.glob(f"{pattern}/config.yaml"):
        if file.is_file() and not ATTEMPT.search(file.parent.name):
            yield file.parent


def _number(run: Path) -> tuple[int, str]:
    return int(run.name) if run.name.isdigit() else -1, run.name


def _label(job: Path) -> str:
    """Returns the overrides of a job that differ between the jobs of its sweep, in brackets."""
    try:
        jobs = read_json(job.parent / "sweep.json", list[dict[str, Any]], LARGEST_SWEEP)
        own = {one["directory"]: one["overrides"] for one in jobs}
        common = set.intersection(*map(set, own.values()))
        label = " ".join(o for o in own[job.name] if o not in common)
    except (InputError, TypeError, KeyError):
        return ""
    return f" ({visible(label)})" if label else ""

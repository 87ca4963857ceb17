"""`overrides.txt` of a run directory: the overrides of the command that began the run, one per line.

Each command that resumed the run adds a line `resume=<run>` and its other overrides.
"""

from collections.abc import Sequence
from pathlib import Path

from vgg_lit.errors import InputError
from vgg_lit.system.files import write_text
from vgg_lit.system.small_files import read_small_text

FILE = "overrides.txt"
RESUME = "resume="


class RecordedOverrides:
    """The recorded overrides of a run.

    Args:
        run: the run directory.

    Raises:
        InputError: the file cannot be read.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.file = run / FILE
        # editors may write \r\n, or leave out the last line end
        text = (read_small_text(self.file) or "").replace("\r\n", "\n").removesuffix("\n")
        self.lines = lines = text.split("\n") if text else []
        self._text = as_lines(lines)
        first = next((n for n, line in enumerate(lines) if line.startswith(RESUME)), len(lines))
        self.begun_with = lines[:first]
        self.resumed_with = [line for line in lines[first:] if not line.startswith(RESUME)]

    def are_of_job(self, overrides: Sequence[str]) -> bool:
        """Returns True if these overrides began the run, whatever later attempts have added."""
        own = as_lines(overrides).split("\n")[:-1]
        attempts = len(self.begun_with) // len(own) if own else 1
        # version 0.1.0 added the overrides of a job again for each of its attempts
        return self.begun_with == own * max(attempts, 1)

    def check_job(self, overrides: Sequence[str]) -> None:
        """Checks that the overrides of a job of a sweep began the run in its directory.

        Raises:
            InputError: it is the run of another job.
        """
        if not self.are_of_job(overrides):
            raise InputError(
                f"{self.run}: contains another job ({' '.join(self.begun_with)}); to resume a sweep, "
                "repeat its command exactly"
            )

    def add(self, overrides: Sequence[str]) -> None:
        """Adds the overrides of a command that resumes the run; a job that is repeated adds nothing."""
        if overrides and self.are_of_job(overrides):
            return
        others = [o.removeprefix("++") for o in overrides if not o.startswith(RESUME)]
        resume = next((o for o in overrides if o.startswith(RESUME)), f"{RESUME}{self.run}")
        write_text(self.file, self._text + as_lines([resume, *others]))


def as_lines(overrides: Sequence[str]) -> str:
    """Formats overrides for the file."""
    return "".join(f"{override}\n" for override in overrides)

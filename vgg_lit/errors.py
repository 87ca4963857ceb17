"""Errors that end a command with one line and an exit code, without a traceback."""

import errno
import re
import signal
from collections.abc import Collection
from difflib import get_close_matches

EXIT_FAILURE, EXIT_BAD_INPUT, EXIT_OUT_OF_MEMORY = 1, 2, 3

MEMORY = re.compile(
    r"out of memory|can't allocate memory|not enough memory|STATUS_\w*ALLOC(ATION)?_FAILED", re.I
)
"""Messages of torch when a device or the host is out of memory, and statuses of cuDNN and cuBLAS."""

DISK = tuple(
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "EACCES", "EPERM")
    if hasattr(errno, name)  # Windows has no quotas
)
"""Error numbers of a disk that is full, broken or read-only, and of files without permission."""

OF_FOLDERS = "EISDIR EEXIST ENOTDIR ENOTEMPTY"  # a file in the place of a folder, and reverse
OF_FILE_SYSTEMS = "EINVAL ENOSYS EOPNOTSUPP ENOTSUP ENOLCK ESTALE"
PLACES = tuple(
    getattr(errno, name)
    for name in f"{OF_FOLDERS} {OF_FILE_SYSTEMS}".split()
    if hasattr(errno, name)
)
"""Error numbers of a path that cannot be written; sockets have some of them too, without a path."""


LONGEST_SHOWN = 100
"""Limit on the characters of a path that is too long, in messages."""


class InputError(ValueError):
    """A config value, image, file or checkpoint that cannot be used.

    Its message is one line: the place, the problem and the allowed values. A command prints it on
    standard error and exits with code 2.
    """


class ConfigError(InputError):
    """A config that cannot be used; the message names the key and what is allowed."""


class NotTrusted(ConfigError):
    """A dotted name that a config may not import, unless the user trusts its package.

    Attributes:
        target: the name.
    """

    def __init__(self, message: str, target: str = "") -> None:
        super().__init__(message)
        self.target = target


class TrainingError(RuntimeError):
    """A run that failed and cannot continue.

    Its message is one line: the problem and the remedy. A command prints it on standard error and
    exits with `exit_code`.
    """

    exit_code = EXIT_FAILURE


class OutOfMemory(TrainingError):
    """A run that needs more memory than the device or the host has."""

    exit_code = EXIT_OUT_OF_MEMORY


class ProcessFailed(TrainingError):
    """The failure of another process of the run; has that process's exit code."""

    def __init__(self, message: str, exit_code: int = EXIT_FAILURE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Preempted(BaseException):
    """A run that a signal has ended; not an `Exception`, so that it is not handled as a failure.

    A command prints its message and exits with the shell's code for the signal (SIGTERM's for SIGUSR1).
    """

    def __init__(self, signum: int, what_is_saved: str = "stopped") -> None:
        super().__init__(f"{signal.Signals(signum).name}: {what_is_saved}")
        self.exit_code = 128 + (signal.SIGINT if signum == signal.SIGINT else signal.SIGTERM)


def is_of_memory(error: BaseException) -> bool:
    """Returns True if an error means that memory has run out."""
    return isinstance(error, MemoryError) or bool(
        isinstance(error, RuntimeError) and MEMORY.search(str(error))
    )


def disk_error(error: BaseException | None) -> OSError | None:
    """Returns the error, or the one that it was raised from, of a disk or path that cannot be used; else None."""
    while error is not None:
        if isinstance(error, OSError) and (
            error.errno in DISK or (error.errno in PLACES and error.filename)
        ):
            return error
        if "database or disk is full" in str(error):  # SQLite, and errors that wrap it
            return OSError(errno.ENOSPC, "No space left on device", "database")
        error = error.__cause__
    return None


def path_error(error: BaseException) -> str | None:
    """Returns the message for a path that no file can have: it is too long, or its links are a circle."""
    is_long = getattr(error, "winerror", None) == 206  # Windows: ERROR_FILENAME_EXCED_RANGE
    numbers = (errno.ENAMETOOLONG, errno.ELOOP)
    if not isinstance(error, OSError) or not (is_long or error.errno in numbers):
        return None
    path = str(error.filename)
    shown = path if len(path) <= LONGEST_SHOWN else f"{path[:LONGEST_SHOWN]}..."
    return f"{shown}: cannot be used: {error.strerror}"


def unknown(kind: str, name: str, allowed: Collection[str]) -> InputError:
    """Returns the error for a name that is not among the allowed ones, with the nearest of them."""
    return InputError(
        f"unknown {kind} {name!r}.{nearest(name, allowed)} Allowed: {', '.join(allowed)}"
    )


def nearest(name: str, allowed: Collection[str]) -> str:
    """Returns the question for the nearest allowed names, each once and after a space; empty if none is near."""
    near = " or ".join(map(repr, get_close_matches(name, dict.fromkeys(allowed), n=3)))
    return f" Did you mean {near}?" if near else ""


def unknown_key(section: str, name: str, allowed: Collection[str]) -> str:
    """Returns the message for a key that does not exist, with the nearest one that does."""
    prefix = f"{section}." if section else ""
    near = get_close_matches(name, allowed, n=1)
    hint = f"did you mean {prefix}{near[0]}? " if near else ""
    return f"unknown key {prefix}{name}; {hint}allowed: {', '.join(allowed)}"


def one_line(error: BaseException) -> str:
    """Returns an exception's message on one line."""
    return " ".join(str(error).split()) or type(error).__name__

"""Standard output and error whose readers may end first: closed pipes, full disks, hung-up terminals.

guard_output(is_needed=False)   # a training continues without its output
guard_output(is_needed=True)    # a command that prints a table ends
"""

import io
import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from vgg_lit.errors import EXIT_BAD_INPUT, InputError, TrainingError, one_line
from vgg_lit.system.operating_system import PIPE_CLOSED, writes_to_console
from vgg_lit.system.terminal import visible

EXIT_PIPE_CLOSED = 141
"""The shell's code for SIGPIPE."""


class PipeClosed(BaseException):
    """The reader of standard output has ended; not an `Exception`, so that it is not handled as one."""


class _Guarded(io.FileIO):
    """The bytes of a standard stream. After a failed write, the stream is the null device.

    Args:
        descriptor: 1 or 2.
        is_needed: raises after a failed write; False drops the output.
    """

    def __init__(self, descriptor: int, is_needed: bool) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._is_needed = is_needed

    def write(self, data: Any) -> int:
        """Writes all bytes, also to a full pipe that does not block; returns their number."""
        rest = memoryview(data).cast("B")
        try:
            while rest:
                if written := super().write(rest):
                    rest = rest[written:]
                else:
                    _wait_for(self.fileno())
        except OSError as error:
            _open_null(self.fileno())
            if self._is_needed and error.errno in PIPE_CLOSED:
                raise PipeClosed from error
            if self._is_needed:
                raise TrainingError(
                    f"standard output: cannot be written: {error.strerror}"
                ) from error
        return memoryview(data).nbytes


def _wait_for(descriptor: int) -> None:
    """Waits until a full pipe has room; where a pipe cannot be waited for, a moment."""
    try:
        select.select([], [descriptor], [])
    except OSError:  # Windows waits only for sockets
        time.sleep(0.01)


def guard_output(is_needed: bool) -> None:
    """Makes the standard streams of this process safe to write to.

    Closed descriptors are opened on the null device: otherwise the next opened file would get their number,
    and with it the output of this process. Streams that a test or a notebook has replaced are left alone.

    Args:
        is_needed: a failed write to standard output raises `PipeClosed` or `TrainingError`; False drops
            the output. Output to standard error is always dropped.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            _open_null(descriptor)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _guarded(sys.stdout, 1, is_needed)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _guarded(sys.stderr, 2, is_needed=False)


def _guarded(stream: TextIO | None, descriptor: int, is_needed: bool) -> TextIO:
    if isinstance(stream, io.TextIOWrapper):
        if writes_to_console(stream):
            stream.reconfigure(errors="backslashreplace")
            return stream
        options: dict[str, Any] = {
            "encoding": stream.encoding,
            "line_buffering": stream.line_buffering,
            "write_through": stream.write_through,
        }
    else:
        options = {"encoding": "utf-8"}
    # Without a `BufferedWriter`, which does not allow a signal handler to print during a write.
    raw: Any = _Guarded(descriptor, is_needed)
    return io.TextIOWrapper(raw, errors="backslashreplace", **options)


def _open_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
    os.set_inheritable(descriptor, True)


@contextmanager
def exiting_in_one_line() -> Iterator[None]:
    """Returns a context for a command without a config: its errors are one line and an exit code.

    A closed pipe ends the command silently.
    """
    guard_output(is_needed=True)
    try:
        yield
        sys.stdout.flush()  # a full disk may raise only here
    except PipeClosed:
        sys.exit(EXIT_PIPE_CLOSED)
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (InputError, OSError) as error:
        print(f"error: {visible(one_line(error))}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)


def print_guarded(text: str) -> None:
    """Prints the whole output of a command; exits silently if its reader has ended."""
    with exiting_in_one_line():
        print(text, flush=True)

"""Standard streams whose readers end, tested with pipes."""

import errno
import io
import os
import runpy
import sys
import threading
from contextlib import suppress

import pytest
from operating_systems import posix

from vgg_lit.errors import TrainingError
from vgg_lit.system import operating_system, output
from vgg_lit.system.output import EXIT_PIPE_CLOSED, PipeClosed, guard_output, print_guarded


@pytest.fixture
def pipe():
    """The numbers of a pipe's two ends; both are closed at the end."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):  # a test may have closed it
            os.close(end)


@pytest.mark.parametrize(("platform", "error"), [("win32", PipeClosed), ("linux", TrainingError)])
def test_a_pipe_of_windows_without_reader_ends_the_command(platform, error, pipe, monkeypatch):
    """Windows reports an invalid argument, which is another fault elsewhere."""
    monkeypatch.setattr(sys, "platform", platform)
    numbers = runpy.run_path(operating_system.__file__)["PIPE_CLOSED"]
    monkeypatch.setattr(output, "PIPE_CLOSED", numbers)
    stream = output._guarded(None, pipe[1], is_needed=True)

    def refuse(descriptor):
        raise OSError(errno.EINVAL, "Invalid argument")

    os.set_blocking(pipe[1], False)
    monkeypatch.setattr(output, "_wait_for", refuse)  # of a full pipe
    with pytest.raises(error):
        print("0123456789" * 100_000, file=stream, flush=True)


@pytest.mark.parametrize("is_needed", [True, False])
def test_output_without_reader_ends_the_command_only_if_it_is_needed(is_needed, pipe):
    readable, writable = pipe
    stream = output._guarded(None, writable, is_needed)
    os.close(readable)
    if is_needed:
        with pytest.raises(PipeClosed):
            print("table", file=stream, flush=True)
    for _ in range(3):  # then the stream is the null device
        print("more", file=stream, flush=True)
    assert os.path.samestat(os.fstat(writable), os.stat(os.devnull))


@posix
def test_a_full_pipe_that_does_not_block_gets_every_byte(pipe):
    readable, writable = pipe
    os.set_blocking(writable, False)
    stream = output._guarded(None, writable, is_needed=True)
    text = "0123456789" * 100_000  # more than a pipe holds
    received = io.BytesIO()

    def read():
        while received.tell() < len(text):
            received.write(os.read(readable, 1 << 16))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    print(text, file=stream, end="", flush=True)
    reader.join(timeout=60)
    assert received.getvalue().decode() == text


def test_a_full_disk_is_one_line(pipe, monkeypatch, capsys):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with open("/dev/full", "wb") as full:
        stream = output._guarded(None, os.dup(full.fileno()), is_needed=True)
        with pytest.raises(TrainingError, match="standard output: cannot be written: No space"):
            print("table", file=stream, flush=True)


def test_text_that_the_encoding_lacks_is_shown_escaped(pipe):
    readable, writable = pipe
    ascii_stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    stream = output._guarded(ascii_stream, writable, is_needed=True)
    print("é\udc80", file=stream, flush=True)
    assert os.read(readable, 100) == b"\\xe9\\udc80" + os.linesep.encode()


class _WindowsConsoleIO(io.BytesIO):
    """The class of Python's consoles of Windows: takes UTF-8 and writes UTF-16."""


def test_a_console_of_windows_converts_its_text(monkeypatch):
    console = io.TextIOWrapper(io.BufferedWriter(_WindowsConsoleIO()), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", console)
    monkeypatch.setattr(sys, "__stdout__", console)
    guard_output(is_needed=True)
    assert sys.stdout is console
    print("é\udc80", flush=True)
    assert console.buffer.raw.getvalue() == "é\\udc80\n".encode()


def test_replaced_streams_are_left_alone(capsys):
    before = sys.stdout, sys.stderr
    guard_output(is_needed=True)
    assert (sys.stdout, sys.stderr) == before


class Failing(io.StringIO):
    """A stream that cannot be written."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [(PipeClosed(), EXIT_PIPE_CLOSED, ""), (TrainingError("full"), 1, "error: full\n")],
)
def test_a_command_whose_table_cannot_be_printed_ends(error, code, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Failing(error))
    with pytest.raises(SystemExit) as stopped:
        print_guarded("table")
    monkeypatch.undo()
    assert stopped.value.code == code
    assert capsys.readouterr().err == said

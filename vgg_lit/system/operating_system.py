"""Differences between operating systems.

Other modules have no branch for a system. A few ask whether a call exists, such as `os.sched_getaffinity`.

Windows has no process groups, no signals but SIGINT, SIGTERM and SIGBREAK, and no files for folders; it
refuses to rename or to remove open files. Each function asks for the call that it needs, not for the
system.
"""

import ctypes
import errno
import getpass
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

ENDING = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGBREAK")
    if hasattr(signal, name)
]
"""SIGINT: ctrl-C. SIGTERM: `kill` and cluster schedulers. SIGUSR1: early warning of schedulers. SIGBREAK:
ctrl-break, with which a process of Windows asks another to end."""

GET_ADDRESS = 0x8915 if sys.platform == "linux" else 0xC0206921
"""Number of the call SIOCGIFADDR, which returns the address of a network interface; that of macOS and BSD."""

MISREAD = re.compile(r"""\\\\.+|[^][(){}'"=,]*[^][(){}'"=,\\/]~\d.*""")
"""Paths on a file server, which begin with two backslashes, and short names with `~1`."""

PIPE_CLOSED = (errno.EPIPE, errno.EINVAL) if sys.platform == "win32" else (errno.EPIPE,)
"""Error numbers of a write to a pipe whose reader has ended."""

NOT_FLUSHED = tuple(
    getattr(errno, name)
    for name in ("EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EBADF")
    if hasattr(errno, name)
)
"""Error numbers of file systems that do not flush folders, such as some of CIFS, VirtualBox and FUSE."""

SECONDS_TO_READ = 5.0
"""Time limit for other processes to close a file that is to be replaced: a large checkpoint takes seconds."""


def name_user() -> None:
    """Sets USER for a user without a name, as in containers that run under a number; torch asks for one."""
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):  # ImportError: Windows without USERNAME
        os.environ["USER"] = f"user{os.getuid()}" if hasattr(os, "getuid") else "user"


def flush(path: Path) -> None:
    """Flushes a file to disk, or the names of the files in a folder, where the system can."""
    try:
        # Windows flushes only files that are opened for writing, and opens no folders.
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except PermissionError:
        if path.is_dir():
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NOT_FLUSHED or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def replace(path: Path, target: Path) -> None:
    """Renames a file, and replaces the file that has the name.

    Windows refuses this while another process reads the file; the call waits up to `SECONDS_TO_READ`.

    Raises:
        OSError: the file cannot be renamed.
    """
    deadline = time.monotonic() + SECONDS_TO_READ
    while True:
        try:
            path.replace(target)
        except PermissionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def is_link(entry: os.DirEntry[str]) -> bool:
    """Returns True for a symbolic link, and for a junction of Windows."""
    junction = 0xA0000003  # stat.IO_REPARSE_TAG_MOUNT_POINT
    tag = getattr(entry.stat(follow_symlinks=False), "st_reparse_tag", None)
    return entry.is_symlink() or tag == junction


def relative(path: str | os.PathLike[str], start: str | os.PathLike[str] = os.curdir) -> Path:
    """Returns a path relative to a folder; the path itself if it is on another drive."""
    try:
        return Path(os.path.relpath(path, start))
    except ValueError:
        return Path(path)


def quoted(words: Iterable[str]) -> str:
    """Returns the words of a command, quoted for sh, bash and zsh; on Windows for cmd and PowerShell."""
    if sys.platform != "win32":
        return shlex.join(words)
    return " ".join(word if shlex.quote(word) == word else _double_quoted(word) for word in words)


def _double_quoted(word: str) -> str:
    # The rules of Microsoft's C runtime: backslashes are doubled only in front of a double quote.
    escaped = re.sub(r'(\\*)"', r"\1\1\"", word)
    return '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'


def inner_quote() -> str:
    r"""Returns the quote for a text within a word of `quoted`; PowerShell ends the word at `\"`."""
    return "'" if sys.platform == "win32" else '"'


def is_misread(path: str) -> bool:
    r"""Returns True for a path of Windows that Hydra changes or refuses, such as `\\nas\x` or `RUNNER~1\x`."""
    return sys.platform == "win32" and bool(MISREAD.fullmatch(path))


def writes_to_console(stream: TextIO) -> bool:
    """Returns True if a stream converts its text for a console of Windows, which reads no UTF-8."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return type(raw).__name__ == "_WindowsConsoleIO"


def lists_fonts_fast() -> bool:
    """Returns True if the system lists its fonts in well under a second; macOS takes seconds."""
    return sys.platform == "linux"


def store_options() -> dict[str, Any]:
    """Returns options of torch's `TCPStore`: the builds of PyTorch for Windows have no libuv."""
    return {"use_libuv": False} if sys.platform == "win32" else {}


def closing_in_forks(close: Callable[[], Any]) -> None:
    """Calls `close` in each process that is forked from this one, where the system forks processes."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=close)


def leave_process_group() -> None:
    """Shields this process from ctrl-C, and from signals to the group of its parent."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()
        return
    # A process of Windows stays in its group.
    for signum in (signal.SIGINT, getattr(signal, "SIGBREAK", signal.SIGINT)):
        signal.signal(signum, signal.SIG_IGN)


def free_bytes(folder: Path) -> float:
    """Returns the free bytes of a file system; infinity if there is no such folder."""
    try:
        status = os.statvfs(folder)
    except (AttributeError, OSError):
        return float("inf")
    return status.f_bavail * status.f_frsize


def longest_path() -> float:
    """Returns the number of characters that the whole path of a file may have; infinity if it is not limited."""
    if sys.platform != "win32":
        return float("inf")
    import winreg

    place = r"SYSTEM\CurrentControlSet\Control\FileSystem"
    with suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, place) as key:
        if winreg.QueryValueEx(key, "LongPathsEnabled")[0]:
            return float("inf")
    return 259


def session_options(inherited: Sequence[int]) -> dict[str, Any]:
    """Returns options of `subprocess.Popen` for a process that does not receive this terminal's ctrl-C.

    Args:
        inherited: file descriptors that stay open in the process; Windows cannot pass them on.
    """
    if hasattr(os, "killpg"):
        return {"start_new_session": True, "pass_fds": tuple(inherited)}
    return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}


def ask_to_end(process: subprocess.Popen, signum: signal.Signals) -> None:
    """Sends a signal that a process started with `session_options` handles by saving its work."""
    with suppress(OSError):  # Windows: the process has just ended, or there is no console
        process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signum))


def kill_session(process: subprocess.Popen) -> None:
    """Kills a process started with `session_options` and the processes that it has started."""
    if hasattr(os, "killpg"):
        # PermissionError: on macOS, if all processes of the group have ended and one is not yet waited for
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        return
    with suppress(OSError):
        subprocess.run(
            ["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False
        )
    process.kill()


def has_session_ended(process: subprocess.Popen) -> bool:
    """Returns True if no process is left of one that was started with `session_options`."""
    if not hasattr(os, "killpg"):
        return process.poll() is not None
    try:
        os.killpg(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return True
    return False


def end_this_process(seconds: float) -> None:
    """Ends this process as SIGTERM does: it saves its work; after `seconds` it is ended at once."""
    if hasattr(signal, "CTRL_BREAK_EVENT"):
        signal.raise_signal(signal.SIGTERM)  # os.kill would end a process of Windows at once
    else:
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(seconds)
    os._exit(128 + signal.SIGTERM)


def parent_check(pid: int) -> Callable[[], bool]:
    """Returns a function that returns True while the process with this number, which started this one, runs."""
    if sys.platform != "win32":
        return lambda: os.getppid() == pid
    # Windows keeps the number of a parent that has ended, and a virtual environment puts a process in between.
    synchronize, wait_timeout = 0x100000, 258
    kernel = ctypes.WinDLL("kernel32")
    kernel.OpenProcess.restype = ctypes.c_void_p
    # The open handle keeps the number from another process.
    parent = ctypes.c_void_p(kernel.OpenProcess(synchronize, False, pid))
    return lambda: kernel.WaitForSingleObject(parent, 0) == wait_timeout


def wake(pid: int) -> None:
    """Makes a stopped process continue, where processes can be stopped."""
    if hasattr(signal, "SIGCONT"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def ignoring_hangup(is_ignored: bool = True) -> Iterator[None]:
    """Returns a context in which this process continues when its terminal is closed."""
    is_main = threading.current_thread() is threading.main_thread()
    if not (is_ignored and is_main and hasattr(signal, "SIGHUP")):
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def keep_freed_memory() -> None:
    """Makes glibc keep large freed blocks for the next step instead of returning them to the system.

    Every training step frees and allocates the same activations. By default, blocks above 32 MB are
    mapped each time and their pages are filled with zeros again. With VGG-16-bn at a quarter of its
    width, batch 512, fp32, page faults fall from 71,000 to 2,700 per step. The process keeps its peak
    memory: 10 % more resident memory in that example. Without glibc this does nothing.

    A higher mapping threshold is not an alternative: the manual allows at most 32 MB.

    Source: mallopt(3).
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        trim_threshold, mmap_max = -1, -4
        mallopt(trim_threshold, -1)  # never trim
        mallopt(mmap_max, 0)

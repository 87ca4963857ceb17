"""Makes a Python process on Linux refuse what Windows refuses; imported at start from the PYTHONPATH.

Code of the project does not find the calls, signals and modules that Windows lacks. The other differences
hold for all code of the process: folders are not opened as files, files are not flushed through a
descriptor that cannot write, open files are not renamed, replaced or removed, characters that no Windows
name has are refused, text is cp1252 without an encoding and its lines end in CR LF, processes are spawned and never forked, and
SIGTERM ends a process at once, and PyTorch has no libuv. Ctrl-break is SIGUSR1. A path below the folder in
VGG_LIT_TEST_DRIVE is on another drive.

Not simulated: backslashes in paths, names in any case, reserved names such as NUL, and refusals of long paths.
"""

import builtins
import ctypes
import errno
import fcntl
import io
import locale
import multiprocessing
import os
import posixpath
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

PROJECT = ("vgg_lit", "hydra_plugins")
ENCODING = "cp1252"
FORBIDDEN = set('<>:"|?*')
OF_OTHER_SYSTEMS = {
    "os": {
        *("chown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getgroups", "getloadavg"),
        *("getpgid", "getpgrp", "getsid", "getuid", "initgroups", "killpg", "lchown"),
        *("mkfifo", "nice", "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC"),
        *("posix_fadvise", "posix_fallocate", "posix_spawn", "pread", "pwrite", "register_at_fork"),
        *("sched_getaffinity", "sched_setaffinity", "sendfile", "setpgid", "setpgrp", "setsid"),
        *("statvfs", "sync", "sysconf", "sysconf_names", "uname", "wait", "WNOHANG"),
    },
    "signal": {
        *("SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP"),
        *("SIGTSTP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "alarm", "pthread_sigmask", "setitimer"),
        *("sigwait",),
    },
    "select": {"epoll", "poll"},
    "socket": {"AF_UNIX"},
}
MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")

_open, _fsync, _kill = os.open, os.fsync, os.kill
_relpath, _import = os.path.relpath, builtins.__import__
_start = subprocess.Popen.__init__
_killpg, _KILL, _BREAK = os.killpg, signal.SIGKILL, signal.SIGUSR1


def refusal(path, *more):
    """The error with which Windows refuses an access."""
    return PermissionError(errno.EACCES, "Access is denied", os.fspath(path), None, *more)


def is_called_by_project():
    """Returns True if the caller of the caller is code of the project."""
    caller = sys._getframe(2).f_globals.get("__name__") or ""
    main = getattr(sys.modules.get("__main__"), "__spec__", None)
    caller = main.name if caller == "__main__" and main else caller
    return caller.startswith(PROJECT)


class WindowsModule(ModuleType):
    """A module of the standard library from which some names are missing for code of the project."""

    def __getattribute__(self, name):
        absent = OF_OTHER_SYSTEMS[object.__getattribute__(self, "__name__")]
        if name in absent and is_called_by_project():
            raise AttributeError(f"module has no attribute {name!r} on Windows")
        return super().__getattribute__(name)


class WindowsSystem(ModuleType):
    """The module `sys`, whose `platform` is Windows for code of the project."""

    def __new__(cls, *arguments):
        return ModuleType(*arguments)  # importlib makes all modules with type(sys)

    def __getattribute__(self, name):
        if name == "platform" and is_called_by_project():
            return "win32"
        return super().__getattribute__(name)


def refuse_libuv(store):
    """Makes a class of torch refuse libuv, which PyTorch lacks on Windows, for servers and clients."""
    start = store.__init__

    def init(self, *values, use_libuv=True, **options):
        if use_libuv:
            raise RuntimeError(
                "use_libuv was requested but PyTorch was built without libuv support"
            )
        start(self, *values, use_libuv=use_libuv, **options)

    init.is_without_libuv = True
    store.__init__ = init


class Kernel:
    """The calls of Windows' kernel32; the handle of a process is its number."""

    def OpenProcess(access, is_inherited, pid):
        return pid if has_process(pid) else None

    def WaitForSingleObject(handle, milliseconds):
        return 258 if has_process(handle.value) else 0


class Registry:
    """The module `winreg` of a system without settings."""

    HKEY_LOCAL_MACHINE = 0

    def OpenKey(key, place):
        raise FileNotFoundError(errno.ENOENT, "The system cannot find the file specified", place)


class WindowsLibraries(ModuleType):
    """The module `ctypes`, which has libraries of Windows for code of the project."""

    def __getattr__(self, name):
        if name == "WinDLL" and is_called_by_project():
            return {"kernel32": Kernel}.__getitem__
        raise AttributeError(f"module 'ctypes' has no attribute {name!r}")


def has_process(pid):
    """Returns True if a process runs; one that has ended and is not yet waited for does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="ignore")
    except OSError:
        return False


def hide_absent_names():
    """Hides names and modules from code of the project, and libuv from PyTorch."""
    sys.__class__ = WindowsSystem
    os.environ.setdefault(
        "USE_LIBUV", "0"
    )  # torch/distributed/rendezvous.py: the default on Windows
    signal.SIGBREAK = signal.CTRL_BREAK_EVENT = _BREAK
    subprocess.CREATE_NEW_PROCESS_GROUP = 0x200
    for name in OF_OTHER_SYSTEMS:
        __import__(name)
        sys.modules[name].__class__ = WindowsModule

    def without_modules(name, globals=None, *more, **options):
        is_own = str((globals or {}).get("__name__")).startswith(PROJECT)
        if name == "winreg" and is_own:
            return Registry
        if name in MODULES and is_own:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        imported = _import(name, globals, *more, **options)
        store = getattr(sys.modules.get("torch._C._distributed_c10d"), "TCPStore", None)
        if store and not hasattr(store.__init__, "is_without_libuv"):
            refuse_libuv(store)
        return imported

    builtins.__import__ = without_modules
    ctypes.__class__ = WindowsLibraries


def check_name(path):
    """Refuses characters that no name on Windows has."""
    text = os.fspath(path) if not isinstance(path, int) else ""
    text = os.fsdecode(text) if isinstance(text, bytes) else text
    if FORBIDDEN & set(text) and not text.startswith("/proc"):
        raise OSError(
            errno.EINVAL, "The filename, directory name, or volume label is incorrect", text
        )


def open_files():
    """Yields the paths that this process and the processes of the project hold open."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_own = process.name == str(os.getpid())
            if is_own or any(n.encode() in (process / "cmdline").read_bytes() for n in PROJECT):
                for descriptor in (process / "fd").iterdir():
                    yield os.readlink(descriptor)
        except OSError:
            continue


def check_closed(path):
    """Refuses a file that is open, and a folder that holds one."""
    if os.path.lexists(path):
        place = os.path.realpath(path)
        is_folder = os.path.isdir(path)
        for file in open_files():
            if file == place or (is_folder and file.startswith(place + "/")):
                raise refusal(path)


def change_files():
    """Changes how files are opened, flushed, renamed and removed."""

    def open_as_file(path, flags, *more, **options):
        check_name(path)
        if options.get("dir_fd") is None and os.path.isdir(path):
            raise refusal(path)
        return _open(path, flags, *more, **options)

    def fsync(descriptor):
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        _fsync(descriptor)

    def closed(call, is_new_name=False):
        def act(path, *names, **options):
            for name in (path, *names):
                if isinstance(name, str | bytes | os.PathLike):
                    check_name(name)
                    if options.get("dir_fd") is None:
                        check_closed(name)
            if is_new_name and os.path.lexists(names[0]):
                raise FileExistsError(errno.EEXIST, "File exists", os.fspath(names[0]))
            return call(path, *names, **options)

        return act

    os.open, os.fsync = open_as_file, fsync
    os.replace, os.rename = closed(os.replace), closed(os.rename, is_new_name=True)
    os.unlink = os.remove = closed(os.unlink)
    os.rmdir = closed(os.rmdir)
    make_folder = os.mkdir
    os.mkdir = lambda path, *more, **options: (
        check_name(path),
        make_folder(path, *more, **options),
    )[1]
    shutil._use_fd_functions = False  # as on Windows: rmtree opens folders


def change_paths():
    """Refuses relative paths between drives."""
    other = os.environ.get("VGG_LIT_TEST_DRIVE")

    def relpath(path, start=os.curdir):
        places = [os.path.join(os.path.abspath(name), "") for name in (path, start)]
        if other and len({place.startswith(os.path.join(other, "")) for place in places}) == 2:
            raise ValueError("path is on mount 'D:', start on mount 'C:'")
        return _relpath(path, start)

    posixpath.relpath = relpath


def change_text():
    """Makes cp1252 the encoding of text whose encoding is not given, and CR LF the end of its lines."""
    opened = io.open

    def open_text(
        file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *more, **options
    ):
        check_name(file)
        if "b" not in mode and encoding in (None, "locale"):
            encoding = ENCODING
        if newline is None and not set("br+") & set(mode):
            newline = "\r\n"
        return opened(file, mode, buffering, encoding, errors, newline, *more, **options)

    builtins.open = io.open = open_text
    locale.getpreferredencoding = lambda do_setlocale=True: ENCODING
    locale.getencoding = lambda: ENCODING


def change_processes():
    """Makes processes start, receive signals and end as on Windows."""

    def kill(pid, signum):
        if signum not in (0, signal.SIGINT, _BREAK):
            signum = _KILL  # TerminateProcess
        _kill(pid, signum)

    def start(self, *arguments, creationflags=0, **options):
        if sys._getframe(1).f_globals["__name__"].startswith("torch."):
            options.pop("start_new_session", None)  # torch asks for the system itself
        assert not options.get("pass_fds")
        assert not options.get("start_new_session")
        self.is_group = bool(creationflags)
        _start(self, *arguments, start_new_session=self.is_group, **options)

    def send_signal(self, signum):
        self.poll()
        if self.returncode is None:
            if signum == _BREAK and self.is_group:
                _killpg(self.pid, signum)  # ctrl-break is sent to a group
            else:
                kill(self.pid, signum)

    os.kill = kill
    subprocess.Popen.__init__, subprocess.Popen.send_signal = start, send_signal
    subprocess.Popen.terminate = subprocess.Popen.kill = lambda self: self.send_signal(_KILL)
    multiprocessing.set_start_method("spawn", force=True)


change_files()
change_paths()
change_text()
change_processes()
hide_absent_names()

"""Calls that an operating system lacks are replaced or left out."""

import errno
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from operating_systems import posix
from torch.distributed import TCPStore

from vgg_lit.system import operating_system as system
from vgg_lit.system.operating_system import keep_freed_memory

PACKAGE = Path(system.__file__).parents[1]
OF_ONE_SYSTEM = (
    *(
        "os.name",
        "sys.platform",
        "platform.system",
        "os.killpg",
        "os.setpgrp",
        "os.fork",
        "os.fsync(d",
    ),
    *(
        "register_at_fork",
        "os.getuid",
        "os.statvfs",
        "os.path.relpath",
        "start_new_session",
        "pass_fds",
    ),
    *(
        "SIGKILL)",
        "signal.SIGKILL",
        "signal.SIGCONT",
        "signal.SIGUSR1",
        "signal.SIGHUP",
        "os.kill(",
    ),
)


def test_no_other_module_uses_calls_of_one_system():
    files = [file for file in PACKAGE.rglob("*.py") if file.name != "operating_system.py"]
    found = [
        (file.name, call)
        for file in [*files, *PACKAGE.parent.joinpath("hydra_plugins").rglob("*.py")]
        for call in OF_ONE_SYSTEM
        if call in file.read_text(encoding="utf-8")
    ]
    assert not found


def test_a_folder_that_cannot_be_opened_is_not_flushed(tmp_path, monkeypatch):
    opened = os.open

    def refuse(path, *arguments):
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *arguments)

    monkeypatch.setattr(os, "open", refuse)
    (tmp_path / "file").write_text("text", encoding="utf-8")
    system.flush(tmp_path)
    system.flush(tmp_path / "file")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_only_a_folder_may_be_on_a_file_system_that_does_not_flush_it(
    number, tmp_path, monkeypatch
):
    def fail(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    (tmp_path / "file").write_text("text", encoding="utf-8")
    with pytest.raises(OSError, match=re.escape(os.strerror(number))):
        system.flush(tmp_path / "file")
    if number == errno.EIO:
        with pytest.raises(OSError, match=re.escape(os.strerror(number))):
            system.flush(tmp_path)
    else:
        system.flush(tmp_path)


def test_a_file_that_is_read_is_replaced_when_it_is_closed(tmp_path, monkeypatch):
    refusals = iter([PermissionError(errno.EACCES, "used by another process")] * 2)
    renamed = Path.replace

    def refuse(path, target):
        for refusal in refusals:
            raise refusal
        renamed(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    for name in ("old", "new"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    system.replace(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_text(encoding="utf-8") == "new"
    assert not (tmp_path / "new").exists()


def test_a_file_that_stays_open_is_an_error(tmp_path, monkeypatch):
    def refuse(path, target):
        raise PermissionError(errno.EACCES, "used by another process")

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(system, "SECONDS_TO_READ", 0.1)
    with pytest.raises(PermissionError):
        system.replace(tmp_path / "new", tmp_path / "old")


def run_python(script):
    """Runs a script in a new process that imports this package."""
    env = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env)


def test_a_worker_without_process_groups_ignores_ctrl_c_and_ctrl_break():
    script = (
        "import os, signal; from vgg_lit.system import operating_system as system;"
        "signal.SIGBREAK = getattr(signal, 'SIGBREAK', None) or signal.SIGUSR1;"
        "vars(os).pop('setpgrp', None);"
        "system.leave_process_group();"
        "signal.raise_signal(signal.SIGINT); signal.raise_signal(signal.SIGBREAK);"
        "print('works')"
    )
    done = run_python(script)
    assert done.stdout == "works\n", done.stderr


def test_a_path_on_another_drive_stays_as_it_is(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert system.relative(tmp_path / "run") == Path("run")

    def refuse(path, start):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", refuse)
    assert system.relative("D:/logs") == Path("D:/logs")


WORDS = ["seed=1", "callbacks=[a,b]", "it's", 'name="a b"', "a\\\\b c\\\\", 'x y\\\\"', ""]


def test_words_are_quoted_for_posix_shells(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    assert shlex.split(system.quoted(WORDS)) == WORDS


def test_words_are_quoted_for_cmd_and_powershell(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert system.quoted(["train", "callbacks=[a,b]"]) == 'train "callbacks=[a,b]"'
    assert system.quoted(["C:\\new\\"]) == r'"C:\new\\"'
    assert system.quoted([""]) == '""'
    spaced = [word for word in WORDS if " " in word]
    assert len(spaced) == 3
    assert system.quoted(spaced) == subprocess.list2cmdline(spaced)


def test_a_store_needs_no_libuv_on_windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    assert system.store_options() == {}
    monkeypatch.setattr(sys, "platform", "win32")
    options = system.store_options()
    assert not TCPStore(
        "127.0.0.1", 0, is_master=True, wait_for_workers=False, **options
    ).libuvBackend


@pytest.mark.parametrize(("platform", "number"), [("linux", 0x8915), ("darwin", 0xC0206921)])
def test_the_address_of_an_interface_is_a_call_of_each_system(platform, number, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    assert runpy.run_path(system.__file__)["GET_ADDRESS"] == number


def test_a_job_is_asked_to_end_by_ctrl_break_where_there_is_one(monkeypatch):
    sent = []
    process = SimpleNamespace(send_signal=sent.append)
    monkeypatch.delattr(signal, "CTRL_BREAK_EVENT", raising=False)
    system.ask_to_end(process, signal.SIGTERM)
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", 1, raising=False)
    system.ask_to_end(process, signal.SIGTERM)
    assert sent == [signal.SIGTERM, 1]


def test_a_job_that_has_just_ended_is_not_asked_to_end():
    def refuse(signum):
        raise PermissionError(errno.EACCES, "Access is denied")

    system.ask_to_end(SimpleNamespace(send_signal=refuse), signal.SIGTERM)


@pytest.mark.parametrize("error", [ProcessLookupError, PermissionError])
def test_a_session_whose_processes_have_ended_is_killed_already(error, monkeypatch):
    def refuse(pid, signum):
        raise error

    monkeypatch.setattr(os, "killpg", refuse)
    system.kill_session(SimpleNamespace(pid=1))


def test_a_parent_runs_until_its_number_is_another():
    assert system.parent_check(os.getppid())()
    assert not system.parent_check(os.getpid())()


def test_a_parent_of_windows_runs_until_its_handle_says_otherwise(monkeypatch):
    """The number of the parent stays the same, and is that of a launcher in a virtual environment."""
    running = {7}
    kernel = SimpleNamespace(
        OpenProcess=lambda access, is_inherited, pid: pid if pid in running else None,
        WaitForSingleObject=lambda handle, milliseconds: 258 if handle.value in running else 0,
    )
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(system.ctypes, "WinDLL", {"kernel32": kernel}.get, raising=False)
    is_running = system.parent_check(7)
    assert is_running()
    running.clear()
    assert not is_running()
    assert not system.parent_check(7)()


def test_a_process_of_windows_ends_itself_as_sigterm_does():
    script = (
        "import os, signal; from vgg_lit.system import operating_system as system;"
        "signal.CTRL_BREAK_EVENT = 1; os.kill = None;"
        "signal.signal(signal.SIGTERM, lambda *a: print('saved', flush=True));"
        "system.end_this_process(0.1)"
    )
    done = run_python(script)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "saved\n"), done.stderr


def test_without_process_groups_a_job_alone_is_killed(monkeypatch):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    monkeypatch.delattr(os, "killpg", raising=False)
    assert list(system.session_options([3])) == ["creationflags"]
    assert not system.has_session_ended(process)
    system.kill_session(process)
    process.wait(30)
    assert system.has_session_ended(process)


@posix
def test_a_file_system_has_a_number_of_free_bytes(tmp_path):
    assert 0 <= system.free_bytes(tmp_path) < float("inf")


def test_without_limit_the_free_bytes_are_infinite(monkeypatch, tmp_path):
    assert system.free_bytes(tmp_path / "none") == float("inf")
    monkeypatch.delattr(os, "statvfs", raising=False)
    assert system.free_bytes(tmp_path) == float("inf")


@pytest.mark.parametrize(
    ("values", "longest"),
    [({}, 259), ({"LongPathsEnabled": 0}, 259), ({"LongPathsEnabled": 1}, float("inf"))],
)
def test_windows_limits_paths_unless_its_registry_says_otherwise(values, longest, monkeypatch):
    assert system.longest_path() == float("inf")

    def query(key, name):
        if name not in values:
            raise FileNotFoundError(errno.ENOENT, "The system cannot find the file specified")
        return values[name], 4

    registry = SimpleNamespace(
        HKEY_LOCAL_MACHINE=0, OpenKey=lambda *place: nullcontext(), QueryValueEx=query
    )
    monkeypatch.setitem(sys.modules, "winreg", registry)
    monkeypatch.setattr(sys, "platform", "win32")
    assert system.longest_path() == longest


@pytest.mark.parametrize("name", [None, "ada"])
def test_a_user_without_a_name_gets_one(name, monkeypatch):
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)

    def getuser():
        if name is None:
            raise KeyError("getpwuid(): uid not found: 12345")
        return name

    monkeypatch.setattr(system.getpass, "getuser", getuser)
    system.name_user()
    number = os.getuid() if hasattr(os, "getuid") else ""
    assert os.environ.get("USER") == (None if name else f"user{number}")


def test_freed_memory_may_be_kept_repeatedly():
    keep_freed_memory()  # must not raise
    keep_freed_memory()


@pytest.mark.parametrize(
    ("platform", "has_mallopt", "calls"),
    [
        ("linux", True, [(-1, -1), (-4, 0)]),  # M_TRIM_THRESHOLD never, M_MMAP_MAX 0
        ("linux", False, []),
        ("win32", True, []),
    ],
)
def test_freed_memory_is_kept_by_glibc_alone(platform, has_mallopt, calls, monkeypatch):
    found = []
    library = SimpleNamespace(mallopt=lambda *a: found.append(a)) if has_mallopt else object()
    monkeypatch.setattr(system.ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(system.sys, "platform", platform)
    keep_freed_memory()
    assert found == calls

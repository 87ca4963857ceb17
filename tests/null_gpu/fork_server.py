"""Runs Python commands in forks of a process that has imported everything, which saves seconds for each.

    python fork_server.py module ...

The modules are imported first. Each line of standard input is a JSON object with the `arguments` of
`python`, `variables` of the environment and a working `folder`; each line of standard output is one with
`code`, `out`, `err` and `counts`, the counts of the null GPU.
"""

import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import sys
import tempfile
import traceback
from typing import Any

TIMEOUT = 900
"""Seconds after which a command is killed."""


def run_python(arguments: list[str]) -> int:
    """Runs `python <arguments>` in this process; returns the exit code."""
    is_module = arguments[0] == "-m"
    sys.argv = arguments[is_module:]
    try:
        if is_module:
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, os.path.dirname(sys.argv[0]))
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
            return 1
        return stop.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def null_gpu_counts() -> str:
    """Returns lines `what<tab>count`."""
    buffer = ctypes.create_string_buffer(1 << 20)
    ctypes.CDLL(os.environ["NULL_GPU_LIBRARY"]).null_gpu_counts(buffer, len(buffer))
    return buffer.value.decode()


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """Runs one command in a fork."""
    files = [tempfile.TemporaryFile() for _ in range(3)]  # noqa: SIM115  closed below
    child = os.fork()
    if not child:
        signal.alarm(TIMEOUT)
        for descriptor, file in enumerate(files[:2], start=1):
            os.dup2(file.fileno(), descriptor)
        os.environ.update(request["variables"])
        os.chdir(request["folder"])
        code = run_python(request["arguments"])
        files[2].write(null_gpu_counts().encode())
        for stream in (sys.stdout, sys.stderr, files[2]):
            stream.flush()
        os._exit(code)
    _, status = os.waitpid(child, 0)
    contents = []
    for file in files:
        with file:
            file.seek(0)
            contents.append(file.read().decode(errors="replace"))
    code = os.waitstatus_to_exitcode(status)
    return dict(zip(("out", "err", "counts", "code"), (*contents, code), strict=True))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        importlib.import_module(name)
    gc.freeze()  # a collection in a fork would copy all pages
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), flush=True)
    os._exit(0)  # without the messages of libraries that are not cleaned up

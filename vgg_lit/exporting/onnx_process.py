"""Runs an ONNX program in a separate process, with limits on its memory and its processor time.

    python onnx_process.py <file> <threads> <bytes> <seconds>

It is started by `IsolatedProgram` and imports nothing of vgg_lit, so that it starts fast. It first writes
the description of the program to standard output, then an answer to each array on standard input. A line of
JSON precedes each answer; an error is only that line.
"""

import json
import sys
from typing import Any, BinaryIO

import numpy as np
import onnxruntime

INPUT, DESCRIPTION = "images", "vgg_lit"


def limit(extra_bytes: int, seconds: float) -> None:
    """Limits the memory to the present use plus `extra_bytes`, and the processor time from now on.

    Memory above the limit is an error of ONNX Runtime; time above it ends the process. Systems without
    these limits ignore them.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime + seconds) + 1
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            written = int(file.read().split()[5]) * resource.getpagesize()
        # Not the address space, of which the allocator reserves much more than it uses.
        resource.setrlimit(resource.RLIMIT_DATA, (written + extra_bytes, resource.RLIM_INFINITY))
    except (OSError, ValueError):  # macOS
        pass
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))


def open_session(path: str, threads: int) -> Any:
    """Loads a program."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # spinning threads would slow down other computations between calls
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def describe(session: Any) -> str | None:
    """Returns the description that `vgg_lit.export` stores in a program; None if it has none."""
    text: str | None = session.get_modelmeta().custom_metadata_map.get(DESCRIPTION)
    return text


def _answer(out: BinaryIO, array: np.ndarray | None = None, **content: Any) -> None:
    out.write(json.dumps(content).encode() + b"\n")
    if array is not None:
        out.write(array.tobytes())
    out.flush()


def main() -> None:
    """Answers until standard input ends."""
    path, threads, extra_bytes, seconds = sys.argv[1], *map(int, sys.argv[2:])
    out, sys.stdout = sys.stdout.buffer, sys.stderr  # nothing else may write between the answers
    limit(extra_bytes, seconds)
    try:
        session = open_session(path, threads)
    except Exception as error:  # ONNX Runtime raises many types for a damaged file
        _answer(out, error=str(error))
        return
    _answer(out, description=describe(session))
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        shape = request["shape"]
        data = sys.stdin.buffer.read(int(np.prod(shape)))
        images_BCHW = np.frombuffer(data, np.uint8).reshape(shape)
        limit(request["bytes"], request["seconds"])
        try:
            (found,) = session.run(None, {INPUT: images_BCHW})
            array = np.ascontiguousarray(found, dtype=np.float32)
        except Exception as error:  # as above
            _answer(out, error=str(error))
        else:
            _answer(out, array, shape=array.shape)


if __name__ == "__main__":
    main()

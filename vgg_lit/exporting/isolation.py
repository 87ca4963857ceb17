"""ONNX programs that run in this process, or in another one with limits on its memory and time.

    program = IsolatedProgram(Path("model.onnx"), threads=2)
    logits_BK = program.run(images_BCHW, (len(images_BCHW), 10), side=28)

A program from an untrusted source can loop, or ask for any amount of memory. Both raise `RuntimeError`.
"""

import json
import math
import signal
import subprocess
import sys
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vgg_lit.errors import one_line
from vgg_lit.system.operating_system import session_options

EXTRA_BYTES = 2**29
"""Memory for a program that has no weights, and for each call."""

BYTES_PER_WEIGHT_BYTE = 4
"""Memory for the weights, which are copied and reordered, as a multiple of the file's size."""

BYTES_PER_PIXEL = 2048
"""Memory for each pixel of a batch: eight maps of 64 channels in float32."""

SECONDS = 2.0
"""Processor time of a call that computes nothing."""

LOADED_PER_SECOND = 10e6
"""Bytes of weights that are loaded in a second of processor time; a slow disk is not counted."""

PRODUCTS_PER_SECOND = 1e9
"""Products of weights and pixels in a second of processor time; most weights meet fewer pixels."""

LONGEST_LINE = 2**23


class Program(Protocol):
    """A loaded program."""

    description: str | None

    def run(self, images_BCHW: np.ndarray, expected: Sequence[int], side: int) -> np.ndarray:
        """Returns the output of uint8 images; `side` is the largest side of a map in the program.

        Raises:
            RuntimeError: the program fails, or its output has another shape.
        """


class OwnProgram:
    """A program of this machine's own export, in this process.

    Raises:
        Exception: the file is damaged.
    """

    def __init__(self, path: Path, threads: int) -> None:
        from vgg_lit.exporting import onnx_process

        self._session = onnx_process.open_session(str(path), threads)
        self.description = onnx_process.describe(self._session)

    def run(self, images_BCHW: np.ndarray, expected: Sequence[int], side: int) -> np.ndarray:
        """Returns the output of uint8 images."""
        (found,) = self._session.run(None, {"images": images_BCHW})
        _check_shape(found.shape, expected)
        return np.asarray(found)


class IsolatedProgram:
    """A program in a process with limits, which ends with this object.

    Raises:
        RuntimeError: the file is damaged, or needs too much memory or time to load.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self._size = path.stat().st_size
        limits = (
            EXTRA_BYTES + BYTES_PER_WEIGHT_BYTE * self._size,
            math.ceil(SECONDS + self._size / LOADED_PER_SECOND),
        )
        self._process = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name("onnx_process.py")),
                str(path),
                *map(str, (threads, *limits)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            **session_options(()),  # ctrl-C ends this process, which then ends the other one
        )
        weakref.finalize(self, _end, self._process)
        self.description: str | None = self._answer()["description"]

    def run(self, images_BCHW: np.ndarray, expected: Sequence[int], side: int) -> np.ndarray:
        """Returns the output of uint8 images."""
        pixels = len(images_BCHW) * side**2
        request = {
            "shape": images_BCHW.shape,
            "bytes": EXTRA_BYTES + BYTES_PER_PIXEL * pixels,
            "seconds": math.ceil(SECONDS + self._size / 4 * pixels / PRODUCTS_PER_SECOND),
        }
        assert self._process.stdin
        assert self._process.stdout
        with suppress(OSError):  # it has ended; the answer tells why
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.write(np.ascontiguousarray(images_BCHW).tobytes())
            self._process.stdin.flush()
        _check_shape(self._answer().get("shape"), expected)
        data = self._process.stdout.read(4 * math.prod(expected))
        if len(data) < 4 * math.prod(expected):
            raise RuntimeError(self._end_reason())
        return np.frombuffer(data, np.float32).reshape(expected).copy()

    def _answer(self) -> dict[str, Any]:
        """Returns the next line of the process."""
        assert self._process.stdout
        line = self._process.stdout.readline(LONGEST_LINE)
        if len(line) == LONGEST_LINE:  # the process is still writing
            raise RuntimeError("its description is too long")
        if not line.endswith(b"\n"):
            raise RuntimeError(self._end_reason())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(one_line(RuntimeError(answer["error"])))
        return answer

    def _end_reason(self) -> str:
        code = self._process.wait()
        if code == -getattr(signal, "SIGXCPU", 0):
            return "it needs too much processor time"
        return f"its process ended with code {code}, as it does when memory runs out"


def _check_shape(found: Any, expected: Sequence[int]) -> None:
    if found is None or tuple(found) != tuple(expected):
        shape = None if found is None else tuple(found)
        raise RuntimeError(f"output shape {shape} instead of {tuple(expected)}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            with suppress(OSError):  # unwritten bytes
                pipe.close()

"""Answers of the process of a program, without starting one."""

import io
import json
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from operating_systems import posix

from vgg_lit.exporting import isolation
from vgg_lit.exporting.isolation import EXTRA_BYTES, IsolatedProgram

IMAGES = np.arange(2 * 4, dtype=np.uint8).reshape(2, 1, 2, 2)


class Pipe(io.BytesIO):
    """The input of a process; it may have ended."""

    has_ended = False

    def write(self, data):
        if self.has_ended:
            raise BrokenPipeError
        return super().write(data)


@pytest.fixture
def answering(tmp_path, monkeypatch):
    """`answering(b"...", code)`: a program whose process writes these bytes and has ended."""

    def answering(output, code=1, has_ended=False):
        pipe = Pipe()
        pipe.has_ended = has_ended
        process = SimpleNamespace(
            stdin=pipe, stdout=io.BytesIO(output), wait=lambda: code, kill=lambda: None
        )
        monkeypatch.setattr(isolation.weakref, "finalize", lambda *args: None)
        monkeypatch.setattr(isolation.subprocess, "Popen", lambda *args, **options: process)
        (tmp_path / "model.onnx").write_bytes(b"x" * 4000)
        return IsolatedProgram(tmp_path / "model.onnx", threads=1), pipe

    return answering


def line(**content):
    return json.dumps(content).encode() + b"\n"


def test_images_are_sent_and_the_output_is_read(answering):
    logits = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    program, pipe = answering(line(description="d") + line(shape=[2, 3]) + logits.tobytes())
    assert program.description == "d"
    found = program.run(np.asfortranarray(IMAGES), (2, 3), side=2)
    assert (found == logits).all()
    found += 1  # writable
    request, _, sent = pipe.getvalue().partition(b"\n")
    assert sent == IMAGES.tobytes()
    assert json.loads(request) == {
        "shape": [2, 1, 2, 2],
        "bytes": EXTRA_BYTES + 2048 * 8,
        "seconds": 3,
    }


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (line(shape=[2, 4]), 0, r"output shape \(2, 4\) instead of \(2, 3\)"),
        (line(), 0, r"output shape None instead of \(2, 3\)"),
        (line(error="bad\n node"), 0, "^bad node$"),
        (b"", 9, "its process ended with code 9, as it does when memory runs out"),
        (b"{", 9, "its process ended with code 9"),
        (line(shape=[2, 3]) + b"1234", -9, "its process ended with code -9"),
    ],
)
def test_other_answers_are_errors_of_one_line(answer, code, message, answering):
    program, _ = answering(line(description=None) + answer, code, has_ended=code != 0)
    with pytest.raises(RuntimeError, match=message):
        program.run(IMAGES, (2, 3), side=2)


@posix
def test_a_program_that_computes_too_long_is_an_error(answering):
    program, _ = answering(line(description=None), -signal.SIGXCPU, has_ended=True)
    with pytest.raises(RuntimeError, match="it needs too much processor time"):
        program.run(IMAGES, (2, 3), side=2)


def test_a_description_without_end_is_refused_without_waiting(answering, monkeypatch):
    """Its process would wait until its output is read."""
    monkeypatch.setattr(isolation, "LONGEST_LINE", 100)

    def hang():
        raise AssertionError("waits for a process that is writing")

    with pytest.raises(RuntimeError, match="its description is too long"):
        answering(line(description="x" * 1000), code=hang)
    program, _ = answering(line(description="x" * 50))
    assert program.description == "x" * 50


def test_a_damaged_file_is_an_error(answering):
    with pytest.raises(RuntimeError, match=r"^not a model$"):
        answering(line(error="not a model"))

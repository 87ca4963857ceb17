"""The protocol of the process of a program, in this process and without limits."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the extra export")

from vgg_lit.exporting import onnx_process
from vgg_lit.exporting.onnx_process import DESCRIPTION, INPUT, describe, main


class Session:
    """A program that adds the pixels of an image."""

    def get_modelmeta(self):
        return SimpleNamespace(custom_metadata_map={DESCRIPTION: "text"})

    def run(self, outputs, inputs):
        images_BCHW = inputs[INPUT].astype(np.float64)
        if images_BCHW.sum() == 0:
            raise RuntimeError("no\nlight")
        return [images_BCHW.sum((1, 2, 3))[:, None]]


@pytest.fixture
def answers(monkeypatch):
    """`answers(images, ...)`: the output of the process, and its limits."""
    limits = []
    monkeypatch.setattr(onnx_process, "limit", lambda nbytes, seconds: limits.append(nbytes))
    monkeypatch.setattr(onnx_process, "open_session", lambda path, threads: Session())

    def answers(*requests):
        sent = b"".join(
            json.dumps({"shape": images.shape, "bytes": number, "seconds": 1}).encode()
            + b"\n"
            + images.tobytes()
            for number, images in enumerate(requests, 1)
        )
        out = io.BytesIO()
        with monkeypatch.context() as patch:
            patch.setattr("sys.argv", ["onnx_process.py", "model.onnx", "1", "0", "5"])
            patch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(sent)))
            patch.setattr("sys.stdout", SimpleNamespace(buffer=out))
            main()
        return out.getvalue(), limits

    return answers


def test_each_request_has_its_limit_and_its_answer(answers):
    first = np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2)
    dark = np.zeros((1, 1, 1, 1), np.uint8)
    out, limits = answers(first, dark, first[:1])
    assert limits == [0, 1, 2, 3]
    described, shape, rest = out.split(b"\n", 2)
    assert json.loads(described) == {"description": "text"}
    assert json.loads(shape) == {"shape": [2, 1]}
    assert np.frombuffer(rest[:8], np.float32).tolist() == [6, 22]
    error, shape, rest = rest[8:].split(b"\n", 2)
    assert json.loads(error) == {"error": "no\nlight"}  # one line of JSON
    assert json.loads(shape) == {"shape": [1, 1]}
    assert np.frombuffer(rest, np.float32).tolist() == [6]


def test_a_damaged_file_is_the_only_answer(answers, monkeypatch):
    def fail(path, threads):
        raise ValueError("damaged")

    monkeypatch.setattr(onnx_process, "open_session", fail)
    out, _ = answers(np.zeros((1, 1, 1, 1), np.uint8))
    assert out == b'{"error": "damaged"}\n'


def test_a_program_of_another_origin_has_no_description():
    session = SimpleNamespace(get_modelmeta=lambda: SimpleNamespace(custom_metadata_map={}))
    assert describe(session) is None
    assert describe(Session()) == "text"


def test_the_limits_are_those_of_the_system_on_top_of_the_present_use(monkeypatch):
    resource = pytest.importorskip("resource")
    limits = {}
    monkeypatch.setattr(resource, "setrlimit", lambda kind, values: limits.update({kind: values}))
    onnx_process.limit(2**20, 5)
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds, _ = limits[resource.RLIMIT_CPU]
    assert seconds >= used.ru_utime + used.ru_stime + 4
    if resource.RLIMIT_DATA in limits:
        assert limits[resource.RLIMIT_DATA][0] > 2**20

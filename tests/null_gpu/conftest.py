"""The null GPU: a CUDA runtime that counts kernel launches and runs no kernel, on a machine without a GPU."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import null_runtime

ROOT = Path(__file__).resolve().parents[2]

IMPORTED = (
    *("vgg_lit.training.experiment", "vgg_lit.training_task", "vgg_lit.config.command"),
    *("hydra", "torchvision", "matplotlib.pyplot"),
)
"""Modules that most commands import."""


class OnNullGPU(NamedTuple):
    """The exit code and output of a command, and what it did on the null GPU, with its count."""

    code: int
    out: str
    err: str
    counts: Counter[str]


@pytest.fixture(scope="session")
def null_gpu(tmp_path_factory) -> Iterator[Callable[..., OnNullGPU]]:
    """`null_gpu("script.py", "argument", code=2)`: runs Python on the null GPU."""
    if missing := null_runtime.missing():
        pytest.skip(missing)
    home = tmp_path_factory.mktemp("null_gpu")
    server = subprocess.Popen(
        [sys.executable, ROOT / "tests/null_gpu/fork_server.py", *IMPORTED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **null_runtime.build(home)},
    )
    assert server.stdin
    assert server.stdout

    def run(*arguments: str | Path, code: int = 0, folder: Path = ROOT, **variables: str):
        request = {
            "arguments": [str(argument) for argument in arguments],
            "variables": variables,
            "folder": str(folder),
        }
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        reply = json.loads(server.stdout.readline())
        lines = (line.rsplit("\t", 1) for line in reply.pop("counts").splitlines())
        counts = Counter({what: int(count) for what, count in lines})
        done = OnNullGPU(**reply, counts=counts)
        assert done.code == code, done.out[-1000:] + done.err[-3000:]
        return done

    yield run
    server.stdin.close()
    server.wait()


@pytest.fixture(scope="session")
def gpu_run(null_gpu, tmp_path_factory) -> Path:
    """The directory of a run that was trained on the null GPU by the train command."""
    folder = tmp_path_factory.mktemp("gpu_run")
    settings = ("model.width=0.0625", "data.train_size=128", "data.test_size=64")
    null_gpu(
        *("-m", "vgg_lit.train", "trainer=gpu", "trainer.max_epochs=1", *settings), folder=folder
    )
    (path,) = folder.glob("logs/runs/*/*")
    return path

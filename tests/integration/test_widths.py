"""The tables of the commands in narrow and wide terminals: no line is too long, and no cell takes two lines."""

import shutil

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len

LONG = "a photograph of a shoe on a white ground, taken in the afternoon"


@pytest.fixture
def run(tiny_run, tmp_path):
    return shutil.copytree(tiny_run.path, tmp_path / "run")


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a", LONG):
        Image.fromarray(np.zeros((28, 28), np.uint8)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def check(verb, monkeypatch):
    """`check(width, command, ...)`: runs a command in a terminal of that width; returns its tables."""

    def check(width, command, *arguments):
        monkeypatch.setenv("COLUMNS", str(width))
        done = verb(command, *arguments)
        assert done.code == 0, done.err
        lines = [line for line in done.out.splitlines() if line.startswith(("┏", "┃", "│", "└"))]
        assert lines
        assert max(map(cell_len, lines)) <= width
        rows = [line for line in lines if line.startswith("│")]
        # The second line of a cell would have an empty first column.
        assert all(line[1:].partition("│")[0].strip() for line in rows), done.out
        return "\n".join(lines)

    return check


@pytest.mark.parametrize("width", [80, 120])
def test_predict_and_evaluate(width, check, run, pictures):
    found = check(width, "predict", f"run={run}", f"images={pictures}", "accelerator=cpu")
    assert "a.png" in found
    assert "afternoon.png" in found or "…" in found
    found = check(width, "evaluate", f"run={run}", "flip=true", "accelerator=cpu")
    assert "flip" in found


@pytest.mark.parametrize("width", [80, 120])
def test_summarize(width, check):
    found = check(width, "summarize", "model=vgg11_bn")
    assert "block1_conv1" in found
    assert "MACs" in found


@pytest.mark.parametrize("width", [80, 120])
def test_compare(width, check, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, tmp_path / "another run with a name that is rather long for a table")
    found = check(width, "compare", f"runs={tmp_path}")
    assert "val/acc" in found

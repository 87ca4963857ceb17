"""A run that is killed before any single change of a file ends, resumed, like an uninterrupted run."""

import importlib
import itertools
import os
import signal
import sys
import traceback

import pytest
import torch
from faulty_runs import rows
from nested_values import assert_same

from vgg_lit.runs import Run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that start at once"),
]

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
"""Audit events of file operations that change a folder."""

SLICES = 8
"""Groups of the moments at which a run is killed; each group is a test."""

SETTINGS = ("trainer.max_epochs=2", "callbacks.checkpointing.every_n_steps=3")


def is_change(event, arguments):
    """Returns True if an audit event changes a file below logs/, or opens one to write."""
    if event == "open":
        path, mode, flags = arguments
        is_written = any(c in (mode or "") for c in "wax+") or flags & (os.O_WRONLY | os.O_RDWR)
        return bool(is_written) and is_ours(path)
    return event in CHANGES and is_ours(arguments[0])


def is_ours(path):
    return isinstance(path, str | os.PathLike) and "logs" in os.path.abspath(path).split(os.sep)


def train(folder, words, kill_at=None):
    """Trains in a fork of this process; returns its exit code, and the number of changes of files.

    The fork kills itself before the change `kill_at`.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.chdir(folder)
        code, count = 70, itertools.count()

        def hook(event, arguments):
            if is_change(event, arguments):
                if next(count) == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                os.write(writing, b".")

        try:
            null = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(null, 1)
            os.dup2(null, 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            sys.argv = ["train.py", *words]
            sys.addaudithook(hook)
            importlib.import_module("vgg_lit.train").main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as events:
        changes = len(events.read())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), changes


def weights(run):
    return torch.load(run.checkpoint("last"), weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def words(tiny):
    return (*tiny, *SETTINGS, "resume=auto")


@pytest.fixture(scope="module")
def whole(words, tmp_path_factory):
    """An uninterrupted run, and the number of its changes of files."""
    importlib.import_module("vgg_lit.training.experiment")  # once, before the forks
    folder = tmp_path_factory.mktemp("whole")
    code, changes = train(folder, words)
    assert code == 0, (folder / "output.txt").read_text()
    (path,) = folder.glob("logs/runs/*/*")
    assert changes > 50
    return Run(path), changes


@pytest.mark.parametrize("part", range(SLICES))
def test_a_run_killed_before_a_change_of_a_file_ends_as_usual(part, words, whole, tmp_path):
    expected, changes = whole
    for moment in range(part, changes, SLICES):
        folder = tmp_path / str(moment)
        folder.mkdir()
        assert train(folder, words, kill_at=moment)[0] == -signal.SIGKILL, moment
        code, _ = train(folder, words)
        output = (folder / "output.txt").read_text()
        assert code == 0, (moment, output)
        assert "Traceback" not in output, (moment, output)
        runs = [Run(file.parent) for file in folder.glob("logs/runs/*/*/config.yaml")]
        done = [run for run in runs if run.is_done()]
        assert done, (moment, output)
        assert not any(run.has_checkpoint() for run in runs if run not in done), moment
        for run in done:
            assert rows(run) == rows(expected), moment
            assert_same(weights(run), weights(expected), f"{moment}")
            assert not list(run.path.rglob("*.tmp")), moment

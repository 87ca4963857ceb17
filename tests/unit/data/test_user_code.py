"""Code of users: its random numbers, and one process at a time."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from vgg_lit.data import user_code
from vgg_lit.data.user_code import one_at_a_time, prepare_source, seeded


def draw():
    return torch.rand(1).item(), random.random(), np.random.random()  # noqa: NPY002


def test_random_numbers_depend_on_the_parts_and_the_state_is_restored():
    def drawn(*parts):
        with seeded(*parts):
            return draw()

    torch.manual_seed(0), random.seed(0), np.random.seed(0)  # noqa: NPY002
    expected = draw()
    torch.manual_seed(0), random.seed(0), np.random.seed(0)  # noqa: NPY002
    first = drawn(1, "setup")
    assert draw() == expected
    assert drawn(1, "setup") == first
    assert all(a != b for a, b in zip(first, drawn(2, "setup"), strict=True))
    with pytest.raises(KeyError), seeded(1):
        raise KeyError
    torch.manual_seed(0), random.seed(0), np.random.seed(0)  # noqa: NPY002
    with pytest.raises(KeyError), seeded(1):
        raise KeyError
    assert draw() == expected


SOURCE = """
import sys, time
from pathlib import Path
from vgg_lit.data.user_code import prepare_source

marks, number = Path(sys.argv[1]), sys.argv[2]

class Source:
    def prepare(self):
        (marks / "busy").mkdir()  # fails if another process is in here
        time.sleep(0.1)
        (marks / "busy").rmdir()

(marks / f"ready{number}").touch()
while len(list(marks.glob("ready*"))) < 3:
    time.sleep(0.01)
prepare_source(Source())
"""


def test_processes_prepare_the_source_of_a_user_one_after_another(tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    commands = [[sys.executable, "-c", SOURCE, str(tmp_path), str(rank)] for rank in range(3)]
    ranks = [subprocess.Popen(command, env=environment) for command in commands]
    assert [rank.wait() for rank in ranks] == [0, 0, 0]


def test_a_process_that_waits_says_so(tmp_path, monkeypatch, capsys):
    class Impatient(user_code.FileLock):
        def acquire(self, timeout=None, **options):
            if timeout == 2:
                raise user_code.Timeout("lock")
            return super().acquire(timeout, **options)

    monkeypatch.setattr(user_code, "FileLock", Impatient)
    monkeypatch.setattr(user_code.tempfile, "gettempdir", lambda: str(tmp_path))
    with one_at_a_time(random.Random()):
        pass
    assert capsys.readouterr().err == "waiting for another process that prepares random.Random\n"


def test_without_a_place_for_the_lock_nobody_waits(monkeypatch, tmp_path):
    monkeypatch.setattr(user_code.tempfile, "gettempdir", lambda: str(tmp_path / "file" / "none"))
    (tmp_path / "file").write_text("")
    calls = []
    prepare_source(type("Source", (), {"prepare": lambda self: calls.append(1)})())
    with pytest.raises(OSError, match="of the user"), one_at_a_time(object()):
        raise OSError("of the user")
    assert calls == [1]

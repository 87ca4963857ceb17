"""Code of users: its random numbers, and one process at a time."""

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


SLOW_SOURCE = """
import sys, time
from pathlib import Path
from vgg_lit.data.user_code import prepare_source

class Source:
    def prepare(self):
        marks = Path(sys.argv[1])
        (marks / "busy").mkdir()  # fails if another process is in here
        time.sleep(0.3)
        (marks / "busy").rmdir()

prepare_source(Source())
"""


def test_processes_prepare_the_source_of_a_user_one_after_another(tmp_path):
    command = [sys.executable, "-c", SLOW_SOURCE, str(tmp_path)]
    ranks = [subprocess.Popen(command) for _ in range(3)]
    assert [rank.wait() for rank in ranks] == [0, 0, 0]


def test_without_a_place_for_the_lock_nobody_waits(monkeypatch, tmp_path):
    monkeypatch.setattr(user_code.tempfile, "gettempdir", lambda: str(tmp_path / "file" / "none"))
    (tmp_path / "file").write_text("")
    calls = []
    prepare_source(type("Source", (), {"prepare": lambda self: calls.append(1)})())
    with pytest.raises(OSError, match="of the user"), one_at_a_time(object()):
        raise OSError("of the user")
    assert calls == [1]

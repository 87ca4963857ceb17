"""Code of users: its random numbers, and one process at a time."""

import os
import random
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import pytest
import torch

from vgg_lit.data import user_code
from vgg_lit.data.user_code import check_saved_state, one_at_a_time, prepare_source, seeded
from vgg_lit.errors import InputError


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


PLAIN = {
    "numbers": [None, True, 2**80, 1.5, 1j, (1, 2), {1}],
    "texts": ("é", b"x", bytearray(b"x")),
    "torch": [torch.ones(2), torch.nn.Parameter(torch.ones(1)), torch.Size([1]), torch.int8],
    3: OrderedDict(place=[torch.device("cpu"), torch.strided, Counter("aab")]),
    ("a", 1): {"x": {"y": []}},
}


def test_a_state_of_tensors_and_plain_values_is_read_from_a_checkpoint(tmp_path):
    check_saved_state(PLAIN, object())
    torch.save(PLAIN, tmp_path / "state")
    assert torch.load(tmp_path / "state", weights_only=True).keys() == PLAIN.keys()


class Flag(int):
    pass


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"seen": np.arange(3)}, r"state_dict()['seen'] is of type numpy.ndarray; allowed in a"),
        ({"a": [1, {"b": Path()}]}, r"state_dict()['a'][1]['b'] is of type pathlib."),
        ({"a": {np.int64(3): 1}}, r"a key of state_dict()['a'] is of type numpy.int64"),
        ({"a": defaultdict(int)}, r"state_dict()['a'] is of type collections.defaultdict"),
        ({"a": (frozenset(),)}, r"state_dict()['a'][0] is of type frozenset"),
        ({"a": Flag(1)}, r"state_dict()['a'] is of type test_user_code.Flag"),
        ({"a": namedtuple("Pair", "x")(1)}, r"state_dict()['a'] is of type test_user_code.Pair"),
        (deque(), r"state_dict() is of type collections.deque"),
    ],
)
def test_a_state_that_a_checkpoint_cannot_have_is_named(state, message, tmp_path):
    with pytest.raises(InputError) as refused:
        check_saved_state(state, object())
    assert message in str(refused.value)
    if "Pair" not in message:  # which pickle does not find in this module
        torch.save(state, tmp_path / "state")
        with pytest.raises(UnpicklingError):
            torch.load(tmp_path / "state", weights_only=True)


def test_types_that_the_user_registers_for_checkpoints_are_allowed():
    with torch.serialization.safe_globals([Flag]):
        check_saved_state({"a": [Flag(1)]}, object())


def test_the_check_of_a_state_does_not_write_it(monkeypatch):
    monkeypatch.setattr(torch, "save", None)
    check_saved_state({"order": list(range(9))}, object())

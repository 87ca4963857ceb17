"""status.json of a run directory."""

import json
import os

import pytest

from vgg_lit.errors import InputError
from vgg_lit.system import status
from vgg_lit.system.status import read_status, write_status


def test_a_status_is_read_back_with_its_process_and_details(tmp_path):
    write_status(tmp_path, "failed", "a reason", exit_code=3)
    found = read_status(tmp_path)
    assert (found["status"], found["reason"], found["exit_code"]) == ("failed", "a reason", 3)
    assert found["process"] == os.getpid()
    write_status(tmp_path, "done")
    assert read_status(tmp_path)["reason"] is None
    assert "exit_code" not in read_status(tmp_path)


def test_a_directory_without_status_is_empty(tmp_path):
    assert read_status(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"status": "lost"}', "status=lost; allowed: running, done, pruned, failed, preempted"),
        ('{"reason": "x"}', "status=None; allowed: running"),
        ('{"status": ["done"]}', "status"),
        ('["done"]', "object"),
        ("", "EOF"),
    ],
)
def test_another_content_is_one_line(text, problem, tmp_path):
    (tmp_path / "status.json").write_text(text)
    with pytest.raises(InputError, match=r"status\.json: cannot be read") as refused:
        read_status(tmp_path)
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.fixture
def full_disk(monkeypatch):
    def fail(file, content):
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr(status, "write_json", fail)


def test_a_full_disk_leaves_room_for_the_status(tmp_path, full_disk):
    longer = {"status": "running", "reason": "x" * 500, "process": 1}
    (tmp_path / "status.json").write_text(json.dumps(longer))
    write_status(tmp_path, "failed", "full")
    assert read_status(tmp_path)["reason"] == "full"


def test_a_first_status_on_a_full_disk_is_an_error(tmp_path, full_disk):
    with pytest.raises(OSError, match=r"No space left on device: '.*status\.json'"):
        write_status(tmp_path, "running")
    assert list(tmp_path.iterdir()) == []

"""A pool of jobs, with processes that end after a number of polls."""

import signal
from types import SimpleNamespace

import pytest
from operating_systems import posix

from vgg_lit.launching import pool
from vgg_lit.launching.pool import Pool, record_failure
from vgg_lit.system.operating_system import ENDING
from vgg_lit.system.status import read_status, write_status

KILLED = -9
"""The exit code of a process that SIGKILL has ended."""


class Process:
    """A process that ends after some polls, or when it is asked to or killed."""

    def __init__(self, polls=1, code=0, ignores=False):
        self.polls, self.code, self.ignores = polls, code, ignores
        self.sent = []

    def poll(self):
        self.polls -= 1
        return self.code if self.polls < 0 else None

    def send(self, number):
        self.sent.append(number)
        if not self.ignores:
            self.polls, self.code = 0, -number

    def kill(self):
        self.polls, self.code = 0, KILLED


@pytest.fixture
def run(monkeypatch):
    """`run(processes, slots=2)`: the finished jobs, and the largest number at the same time."""
    monkeypatch.setattr(pool, "POLL_SECONDS", 0.0)

    def run(processes, slots=2, received=(), after=0, grace=1e9, waits=0):
        signals = SimpleNamespace(received=[])
        left, finished, peaks, shares = list(enumerate(processes)), [], [0], []
        made = Pool([{"slot": str(n)} for n in range(slots)], signals, grace)
        looks = iter(range(10_000))
        waiting = iter(range(waits))

        def start(share):
            if next(waiting, None) is not None:
                return None
            shares.append(share["slot"])
            return left.pop(0)

        def look():
            peaks.append(len(made.running))
            if next(looks) == after:
                signals.received.extend(received)

        made.run(lambda: bool(left), start, lambda job, _, code: finished.append((job, code)), look)
        return SimpleNamespace(finished=finished, most=max(peaks), left=len(left), shares=shares)

    return run


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_every_job_runs_once_in_a_free_slot(slots, run):
    done = run([Process(polls=n % 3, code=n) for n in range(7)], slots)
    assert sorted(done.finished) == [(n, n) for n in range(7)]
    assert done.most <= slots
    assert set(done.shares) == {str(n) for n in range(min(slots, 7))}


def test_without_jobs_nothing_runs(run):
    assert run([]).finished == []


def test_a_job_that_has_to_wait_is_started_later(run):
    assert run([Process()], waits=5).finished == [(0, 0)]


@pytest.mark.parametrize("received", ENDING)
def test_the_first_signal_is_passed_on_and_no_job_is_started(received, run):
    sent = signal.SIGINT if received == signal.SIGINT else signal.SIGTERM
    processes = [Process(polls=1000), Process(polls=1000), Process()]
    done = run(processes, received=[received])
    assert [process.sent for process in processes] == [[sent], [sent], []]
    assert sorted(done.finished) == [(0, -sent), (1, -sent)]
    assert done.left == 1


@pytest.mark.parametrize("options", [{"received": [2, 2]}, {"received": [15], "grace": -1.0}])
def test_a_second_signal_and_the_end_of_the_grace_kill(options, run):
    done = run([Process(polls=10**6, ignores=True)], **options)
    assert done.finished == [(0, KILLED)]


def process(pid=7, last_line="ValueError: x"):
    return SimpleNamespace(pid=pid, last_line=last_line)


@pytest.mark.parametrize(
    ("code", "is_asked", "expected"),
    [
        (1, False, ("failed", "exit code 1, ValueError: x")),
        (143, True, ("preempted", "exit code 143, ValueError: x")),
        pytest.param(
            *(KILLED, False),
            ("failed", "killed by SIGKILL, as the system does when memory runs out"),
            marks=posix,
        ),
        pytest.param(KILLED, True, ("preempted", "killed by SIGKILL"), marks=posix),
        (-signal.SIGSEGV, False, ("failed", "killed by SIGSEGV")),
    ],
)
def test_a_job_that_recorded_nothing_gets_a_reason(code, is_asked, expected, tmp_path):
    write_status(tmp_path, "running")
    assert record_failure(tmp_path, process(), code, is_asked) == expected
    found = read_status(tmp_path)
    assert (found["status"], found["reason"]) == expected


@pytest.mark.parametrize(
    ("own", "is_asked", "expected"),
    [("failed", False, "failed"), ("preempted", False, "preempted"), ("failed", True, "preempted")],
)
def test_the_reason_that_the_job_recorded_is_kept(own, is_asked, expected, tmp_path, monkeypatch):
    monkeypatch.setattr("os.getpid", lambda: 7)
    write_status(tmp_path, own, "its own")
    assert record_failure(tmp_path, process(), 1, is_asked) == (expected, "its own")
    assert record_failure(tmp_path, process(8), 1, is_asked)[1] == "exit code 1, ValueError: x"


def test_a_damaged_status_or_a_full_disk_lose_no_reason(tmp_path, monkeypatch):
    (tmp_path / "status.json").write_text("{")
    assert record_failure(tmp_path, process(), 1, False)[1] == "exit code 1, ValueError: x"

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pool, "write_status", fail)
    assert record_failure(tmp_path, process(), 1, False)[0] == "failed"

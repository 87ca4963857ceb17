"""Runs that end in validation or testing, or by a second ctrl-C, resume without any difference."""

import pytest
from faulty_runs import RESIDENT, STEPS, assert_same_run, runs_in

pytestmark = pytest.mark.slow

VALIDATION, TEST = STEPS // 2, STEPS


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        (f"SIGKILL:validation group 0 {VALIDATION}", -9, "running"),
        (f"SIGKILL:validation group 0 {STEPS}", -9, "running"),
        (f"SIGTERM:validation self 0 {VALIDATION}", 143, "preempted"),
        (f"SIGKILL:test group 0 {TEST}", -9, "running"),
        (f"SIGTERM:test self 0 {TEST}", 143, "preempted"),
        (f"SIGINT:test group 0 {TEST}", 130, "preempted"),
        ("SIGINT-twice self 0 10", 130, "preempted"),
    ],
)
def test_the_resumed_run_equals_an_uninterrupted_one(
    fault, code, status, devices, whole, job, tmp_path
):
    ended = job(*RESIDENT, f"trainer.devices={devices}", fault=fault)
    errors = tmp_path / "errors.txt"
    assert ended.wait() == code, errors.read_text()
    (run,) = runs_in(tmp_path)
    assert run.status["status"] == status
    assert "Traceback" not in errors.read_text()
    assert job(f"resume={run.path.relative_to(tmp_path)}").wait() == 0, errors.read_text()
    assert_same_run(run, whole("resident", devices))
    assert run.status["status"] == "done"

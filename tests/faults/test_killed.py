"""Runs that are killed at random steps and resumed, twice, end like uninterrupted runs."""

import random

import pytest
from faulty_runs import RESIDENT, STEPS, assert_same_run, runs_in

pytestmark = pytest.mark.slow

TIMES = 10


@pytest.mark.parametrize("time", range(TIMES))
@pytest.mark.parametrize("data", ["resident", "streaming"])
@pytest.mark.parametrize("devices", [1, 2])
def test_a_run_killed_twice_is_bitwise_equal_to_an_uninterrupted_one(
    devices, data, time, whole, streaming, job, tmp_path
):
    draws = random.Random(f"{devices} {data} {time}")
    is_later = time % 2 == 1  # asynchronous checkpoints may be two steps behind
    first = draws.randrange(3 if is_later else 1, STEPS - 2)
    second = draws.randrange(first + 1, STEPS)
    settings = (
        *(streaming if data == "streaming" else RESIDENT),
        f"trainer.devices={devices}",
        f"callbacks.checkpointing.asynchronous={str(is_later).lower()}",
    )
    for step in (first, second):
        (tmp_path / "happened").unlink(missing_ok=True)
        killed = job(*settings, "resume=auto", fault=f"SIGKILL group 0 {step}")
        assert killed.wait() == -9
    assert job(*settings, "resume=auto").wait() == 0, (tmp_path / "errors.txt").read_text()
    (run,) = runs_in(tmp_path)
    assert_same_run(run, whole(data, devices))
    assert run.status["status"] == "done"

"""A rank that raises, dies or stops ends all other ranks, and its error is reported to the user."""

import pytest
from faulty_runs import RESIDENT, assert_same_run, runs_in

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("what", "code", "reason"),
    [
        ("raise", 1, "RuntimeError: out of luck"),
        ("memory", 3, "out of memory: CUDA out of memory"),
        ("SIGKILL", 1, "was killed by SIGKILL"),
        ("SIGSTOP", 1, "another process does not respond"),
        ("nan", 1, "is not finite"),
    ],
)
def test_all_ranks_end_and_the_reason_is_reported(what, code, reason, rank, whole, job, tmp_path):
    settings = (
        *RESIDENT,
        "trainer.devices=2",
        "trainer.process_timeout=1",
        f"callbacks.checkpointing.asynchronous={str(rank == 1).lower()}",
    )
    ended = job(*settings, fault=f"{what} self {rank} 10")
    found = ended.wait()
    errors = (tmp_path / "errors.txt").read_text()
    if what == "SIGKILL" and rank == 0:
        code, reason = -9, "process 0 was killed"
    assert found == code, errors
    (run,) = runs_in(tmp_path)
    assert run.status["status"] == "failed"
    assert reason in run.status["reason"]
    if what != "SIGKILL" or rank == 1:
        assert errors.count("error: ") <= 1
        assert reason in errors
    assert errors.count("Traceback") == (1 if what == "raise" else 0), errors
    assert job(f"resume={run.path.relative_to(tmp_path)}").wait() == 0
    assert_same_run(run, whole("resident", 2))

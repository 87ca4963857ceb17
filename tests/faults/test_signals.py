"""After a signal to any process, a run saves once, exits with its code and can be resumed."""

import pytest
import torch
from faulty_runs import RESIDENT, assert_same_run, runs_in

pytestmark = pytest.mark.slow

CODES = {"SIGTERM": 143, "SIGUSR1": 143, "SIGINT": 130}


@pytest.mark.parametrize("signum", CODES)
@pytest.mark.parametrize(
    ("devices", "whom", "rank"),
    [
        (1, "self", 0),
        (1, "group", 0),
        (2, "self", 0),
        (2, "self", 1),
        (2, "group", 0),
        (2, "main", 1),
    ],
)
@pytest.mark.parametrize("data", ["resident", "streaming"])
def test_a_signal_saves_and_ends_the_run(
    data, devices, whom, rank, signum, whole, streaming, job, tmp_path
):
    settings = (*(streaming if data == "streaming" else RESIDENT), f"trainer.devices={devices}")
    if signum == "SIGUSR1":
        settings += ("callbacks.checkpointing.asynchronous=true",)
    ended = job(*settings, fault=f"{signum} {whom} {rank} 10")
    errors = tmp_path / "errors.txt"
    assert ended.wait() == CODES[signum], errors.read_text()
    (run,) = runs_in(tmp_path)
    saved = torch.load(run.checkpoint("last"), weights_only=True)["global_step"]
    assert saved in (11, 12)
    assert run.status["status"] == "preempted"
    assert run.status["reason"].startswith(
        f"{signum}: saved at step {saved}; continue with resume="
    )
    assert errors.read_text().splitlines()[-1] == run.status["reason"]
    assert "Traceback" not in errors.read_text()
    assert job(f"resume={run.path.relative_to(tmp_path)}").wait() == 0
    assert_same_run(run, whole(data, devices))

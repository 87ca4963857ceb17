"""The failure of one process ends the others and is reported; tested with sleeping processes."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from operating_systems import posix

from vgg_lit.errors import InputError, OutOfMemory, Preempted, ProcessFailed, TrainingError
from vgg_lit.launching.shared_fate import ending_together
from vgg_lit.runs import Run
from vgg_lit.system.status import write_status


@pytest.fixture
def run(tmp_path):
    return Run.start(tmp_path / "run", {"seed": 0}, [])


def trainer(*children):
    return SimpleNamespace(
        world_size=1 + len(children),
        global_rank=0,
        is_global_zero=True,
        callbacks=[],
        strategy=SimpleNamespace(launcher=SimpleNamespace(procs=list(children))),
    )


def child(code):
    return subprocess.Popen([sys.executable, "-c", code])


def test_a_successful_run_waits_for_its_processes(run):
    sleeper = child("import time; time.sleep(0.1)")
    with ending_together(trainer(sleeper), run.path):
        pass
    assert sleeper.returncode == 0
    assert run.status["status"] == "running"


def test_an_error_of_this_process_is_recorded(run):
    with pytest.raises(ZeroDivisionError), ending_together(trainer(), run.path):
        _ = 1 / 0
    status = run.status
    assert (status["status"], status["reason"]) == ("failed", "ZeroDivisionError: division by zero")
    assert (status["rank"], status["exit_code"], status["process"]) == (0, 1, os.getpid())


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("NCCL error in: x.cpp:9, unhandled cuda error: Cuda failure 'out of memory'"),
        MemoryError(),
    ],
    ids=lambda error: str(error)[:30],
)
def test_out_of_memory_has_advice_and_exit_code_3(error, run):
    with (
        pytest.raises(OutOfMemory, match=r"data\.batch_size") as told,
        ending_together(trainer(child("")), run.path),
    ):
        raise error
    assert "\n" not in str(told.value)
    assert run.status["exit_code"] == told.value.exit_code == 3


def test_bad_input_during_training_has_exit_code_2(run):
    with pytest.raises(InputError, match="truncated"), ending_together(trainer(), run.path):
        raise InputError("x.png: truncated")
    assert run.status["exit_code"] == 2


def test_a_signal_is_recorded_as_preemption(run):
    with pytest.raises(Preempted, match="saved at step 3"), ending_together(trainer(), run.path):
        raise Preempted(signal.SIGTERM, "saved at step 3")
    assert run.status["status"] == "preempted"
    assert run.status["reason"] == "SIGTERM: saved at step 3"


@pytest.mark.parametrize(
    ("code", "reason", "exit_code"),
    [
        pytest.param(
            "import os; os.kill(os.getpid(), 9)",
            "process 1 was killed by SIGKILL, as the",
            1,
            marks=posix,
        ),
        ("import sys; sys.exit(3)", "process 1 ended with exit code 3", 3),
        pytest.param(
            "import os; os.kill(os.getpid(), 15)",
            "process 1 was ended by SIGTERM",
            143,
            marks=posix,
        ),
    ],
)
def test_the_failure_of_another_process_replaces_its_symptom(code, reason, exit_code, run):
    with (
        pytest.raises(ProcessFailed, match=reason) as told,
        ending_together(trainer(child(code)), run.path),
    ):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer")
    assert told.value.exit_code == exit_code
    assert reason in run.status["reason"]
    assert run.status["status"] == ("preempted" if exit_code == 143 else "failed")


def test_a_failure_recorded_by_another_process_is_reported(run):
    write_status(run.path, "failed", "KeyError: 'x'", rank=1, exit_code=1, process=os.getpid())
    with (
        pytest.raises(ProcessFailed, match="process 1: KeyError: 'x'"),
        ending_together(trainer(child("")), run.path),
    ):
        raise RuntimeError("Connection reset by peer")
    assert run.status["reason"] == "KeyError: 'x'"


@posix
def test_an_unresponsive_process_is_killed(run, monkeypatch):
    monkeypatch.setattr("vgg_lit.launching.watch.GRACE_SECONDS", 0.2)
    stopped = child("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)")
    with (
        pytest.raises(TrainingError, match=r"does not respond \(trainer\.process_timeout\)"),
        ending_together(trainer(stopped), run.path),
    ):
        raise RuntimeError("Timed out waiting 1000ms for recv operation to complete")
    assert stopped.returncode == -9


WAITS = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
import subprocess
from vgg_lit.launching.shared_fate import ending_together

dies = subprocess.Popen([sys.executable, "-c", "import sys; sys.exit(1)"])
stays = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
launcher = SimpleNamespace(procs=[stays, dies])
trainer = SimpleNamespace(
    world_size=3, global_rank=0, is_global_zero=True, callbacks=[], strategy=SimpleNamespace(launcher=launcher)
)
with ending_together(trainer, Path(sys.argv[1])):
    print(stays.pid, flush=True)
    time.sleep(60)
"""


def test_a_process_that_blocks_is_ended_too(tmp_path, is_alive):
    done = subprocess.run(
        [sys.executable, "-c", WAITS, str(tmp_path)], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 1
    assert done.stderr == "error: process 2 ended with exit code 1\n"
    assert not is_alive(int(done.stdout))

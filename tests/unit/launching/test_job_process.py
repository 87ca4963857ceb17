"""Environment, output and cleanup of job processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from operating_systems import posix

from vgg_lit.launching import job_process
from vgg_lit.launching.job_process import count_job_processes, job_environment, machine_shares
from vgg_lit.system.launch import SWEEP_JOB


def shown(done, number):
    """The console lines of a job."""
    prefix = f"[{number}] "
    lines = [line for line in done.out.splitlines() if line.startswith(prefix)]
    return [line.removeprefix(prefix) for line in lines if ": " not in line]


def test_lines_are_complete_and_have_a_prefix(sweep):
    script = (
        "sys.stdout.write('be'); sys.stdout.flush(); (common / '{0}').touch(); wait_for('{1}'); "
        "print('fore'); print('naïve' + chr(27) + '[2J', file=sys.stderr); sys.stdout.write('no newline'); done()"
    )
    scripts = {"seed=0": script.format("a", "b"), "seed=1": script.format("b", "a")}
    done = sweep(scripts, "seed=0,1", "hydra.launcher.n_jobs=2")
    for number in (0, 1):
        assert shown(done, number) == ["before", r"naïve\x1b[2J", "no newline"]
        assert (
            Path(f"swept/{number}/log.txt").read_text(encoding="utf-8")
            == "before\nnaïve\x1b[2J\nno newline"
        )


def test_a_sweep_shows_some_lines_of_a_job_and_its_log_all(sweep):
    script = (
        "print('run      here')\nprint('┃ metric ┃')\n"
        "for n in range(1, 41): print(f'epoch {n:>2}/40  train loss 1.0')\n"
        "for n in range(9): print(f'note {n}')\ndone()"
    )
    done = sweep({"seed=0": script}, "seed=0")
    lines = shown(done, 0)
    assert lines[:5] == [f"epoch {n:>2}/40  train loss 1.0" for n in (8, 16, 24, 32, 40)]
    assert lines[5:] == ["note 0", "note 1"]
    assert sum(line.startswith("[0] ") for line in done.out.splitlines()) <= 10
    assert len(Path("swept/0/log.txt").read_text(encoding="utf-8").splitlines()) == 51


def test_a_progress_bar_is_one_line(sweep):
    bar = "for i in range(500): print(f'\\r{i} of 500', end='', flush=True)\nprint(); print('x\\r'); done()"
    assert shown(sweep({"seed=0": bar}, "seed=0"), 0) == ["499 of 500", "x"]


def test_the_log_keeps_earlier_attempts_without_repeating_them(sweep):
    sweep({"seed=0": "print('first'); sys.exit(1)"}, "seed=0")
    again = sweep({"seed=0": "print('second'); done()"}, "seed=0")
    assert shown(again, 0) == ["second"]
    assert Path("swept/0/log.txt").read_text(encoding="utf-8") == "first\nsecond\n"


def test_tracebacks_go_only_to_the_log(sweep):
    script = """
import traceback
print("before")
try:
    try:
        1 / 0
    except ZeroDivisionError:
        raise KeyError("x")
except KeyError:
    traceback.print_exc()
print("[rank1]: Traceback (most recent call last):")
print("[rank1]:   File x")
print("[rank1]: ValueError: x")
print("after")
done()
"""
    lines = shown(sweep({"seed=0": script}, "seed=0"), 0)
    assert [line for line in lines if line] == ["before", "after"]


def test_variables_of_another_run_are_removed(monkeypatch):
    left = ("LOCAL_RANK", "RANK", "WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
    for name in (*left, "PL_GLOBAL_SEED", "SLURM_NTASKS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("MINE", "kept")
    found = job_environment({}, processes=1)
    assert not {*left, "PL_GLOBAL_SEED", "SLURM_NTASKS"} & set(found)
    assert found["MINE"] == "kept"


def test_a_job_has_the_import_path_of_its_sweep(sweep):
    import vgg_lit

    script = "import vgg_lit; print(vgg_lit.__file__); done()"
    assert shown(sweep({"seed=0": script}, "seed=0"), 0) == [vgg_lit.__file__]


@pytest.fixture
def eight_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)


@pytest.mark.parametrize(
    ("n_jobs", "processes", "threads"),
    [(1, 1, None), (2, 1, "4"), (3, 1, "2"), (2, 2, "2"), (16, 1, "1"), (4, 8, "1")],
)
def test_threads_are_divided_among_jobs(n_jobs, processes, threads, eight_threads):
    for share in machine_shares(n_jobs):
        assert job_environment(share, processes).get("OMP_NUM_THREADS") == threads


@pytest.mark.parametrize(
    ("devices", "processes"), [(2, 2), ("auto", 1), ([1, 3], 2), (OmegaConf.create([1, 3]), 2)]
)
def test_a_job_has_one_process_per_device(devices, processes):
    assert count_job_processes(devices) == processes


def test_a_user_defined_number_of_threads_is_kept(eight_threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    (share, _) = machine_shares(2)
    assert job_environment(share, 1)["OMP_NUM_THREADS"] == "6"


@pytest.mark.parametrize(
    ("gpus", "visible", "n_jobs", "expected"),
    [
        (4, None, 1, [None]),
        (4, None, 2, ["0,1", "2,3"]),
        (4, None, 4, ["0", "1", "2", "3"]),
        (5, None, 2, ["0,1", "2,3"]),
        (2, None, 4, ["0", "1", "0", "1"]),
        (4, "3,5", 2, ["3", "5"]),
        (4, "GPU-a,GPU-b,GPU-c,GPU-d", 2, ["GPU-a,GPU-b", "GPU-c,GPU-d"]),
        (4, "", 2, [None, None]),
        (0, None, 2, [None, None]),
    ],
)
def test_gpus_are_divided_among_jobs(gpus, visible, n_jobs, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [share.get("CUDA_VISIBLE_DEVICES") for share in machine_shares(n_jobs)] == expected


def test_a_config_is_checked_against_the_gpus_of_its_job(sweep, monkeypatch):
    """Two jobs share four GPUs: each has two."""
    seen = []

    def count_devices(accelerator):
        seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
        return "gpu", len(seen[-1].split(","))

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    monkeypatch.setattr("vgg_lit.system.hardware.count_devices", count_devices)
    arguments = ("seed=0", "trainer.devices=4", "hydra.launcher.n_jobs=2")
    done = sweep({}, *arguments)
    assert done.code == 2
    assert "allowed: 1 to 2" in done.err
    assert seen == ["0,1"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1,2,3"


@posix
def test_child_processes_of_a_dead_job_are_ended(sweep, tmp_path, is_alive):
    script = (
        "child = subprocess.Popen(['sleep', '60']); (common / 'pid').write_text(str(child.pid)); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    sweep({"seed=0": script}, "seed=0")
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_a_job_ends_with_its_sweep(tmp_path):
    """A job stops when its standard input closes, and is ended if saving takes too long."""
    script = (
        "import signal, sys, time; from vgg_lit.config import command; command.SECONDS_TO_SAVE = 0.1;"
        "deaf = lambda config: [signal.signal(signal.SIGTERM, lambda *a: print('saving', flush=True)),"
        "print('up', flush=True), [time.sleep(0.1) for _ in range(600)]];"
        "sys.argv = ['train', 'hydra.run.dir=.']; command.run_verb(deaf, 'train')"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), SWEEP_JOB: "1"}
    job = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=env,
        cwd=tmp_path,
        text=True,
    )
    assert job.stdout.readline() == "up\n"
    job.stdin.close()
    assert job.stdout.read() == "saving\n"
    assert job.wait(timeout=60) == 128 + signal.SIGTERM


def test_without_process_groups_only_the_job_is_ended(monkeypatch, tmp_path):
    """Imitates Windows."""
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    process = job_process.JobProcess(command, dict(os.environ), tmp_path / "log.txt", "", [])
    monkeypatch.delattr(os, "killpg", raising=False)
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM, raising=False)
    process.send(signal.SIGINT)
    while (code := process.poll()) is None:
        pass
    assert code == (1 if sys.platform == "win32" else -signal.SIGTERM)

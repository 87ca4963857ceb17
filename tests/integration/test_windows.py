"""Whole commands run where the system refuses what Windows refuses; tests/windows/sitecustomize.py simulates it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vgg_lit.runs import Run
from vgg_lit.sweeps import Sweep

SIMULATION = Path(__file__).resolve().parents[1] / "windows"
# PYTHONUTF8: without a locale, Python would read all text as UTF-8.
ENVIRONMENT = {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
STREAMED = (
    *("data=image_folder", "data.root=photos", "data.train_size=null", "data.test_size=null"),
    *("data.batch_size=4", "data.val_fraction=0.2"),
    *("data.source.in_memory=false", "data.source.num_workers=1"),
)

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the simulation needs /proc"
)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with photos of two classes, one of them with a name that is not ASCII."""
    folder = tmp_path_factory.mktemp("windows")
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)
    for index, image in enumerate(pixels):
        path = folder / "photos" / ("Tür", "靴")[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


@pytest.fixture(scope="module")
def start(workplace):
    """`start("train", "seed=1")`: starts a command under the simulation."""
    started = []

    def start(name, *arguments):
        places = {
            "PYTHONPATH": os.pathsep.join(map(str, (SIMULATION, SIMULATION.parents[1]))),
            "VGG_LIT_TEST_DRIVE": str(workplace / "D"),
            "VGG_LIT_CACHE": str(workplace / "cache"),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", f"vgg_lit.{name}", *arguments],
            cwd=workplace,
            env={**os.environ, **ENVIRONMENT, **places, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="cp1252",
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def windows(start):
    """`windows("train", "seed=1")`: the output of a command, which has to succeed."""

    def windows(name, *arguments):
        process = start(name, *arguments)
        out, _ = process.communicate(timeout=600)
        assert process.returncode == 0, out
        assert "Traceback" not in out
        return out

    return windows


@pytest.fixture(scope="module")
def run(windows, workplace, tiny):
    """A run that was trained under the simulation."""
    windows("train", *tiny, "hydra.run.dir=logs/runs/first")
    return Run(workplace / "logs/runs/first")


REFUSED = """
import os, signal, socket, subprocess, sys, tempfile
from pathlib import Path

def refused(error, code):
    try:
        exec(code, {"__name__": "vgg_lit.example", "os": os, "folder": folder, "file": file, "held": held})
    except error:
        return
    raise AssertionError(f"not refused: {code}")

folder = Path(tempfile.mkdtemp())
file = folder / "file"
file.write_text("\\N{LATIN SMALL LETTER U WITH DIAERESIS}")
assert file.read_bytes() == b"\\xfc"
file.write_text("a\\n")
assert file.read_bytes() == b"a\\r\\n"
held = (folder / "held").open("w", encoding="utf-8")
refused(PermissionError, "os.open(folder, os.O_RDONLY)")
refused(OSError, "os.fsync(open(file).fileno())")
refused(PermissionError, "os.replace(file, folder / 'held')")
refused(PermissionError, "os.unlink(folder / 'held')")
(folder / 'other').touch()
refused(FileExistsError, "os.rename(file, folder / 'other')")
refused(OSError, "open(folder / 'a:b', 'w')")
refused(ValueError, "os.path.relpath('D/file')")
refused(UnicodeEncodeError, "file.write_text(chr(0x9774))")
refused(AttributeError, "os.fork")
refused(AttributeError, "import signal; signal.SIGKILL")
refused(ImportError, "import fcntl")
refused(ImportError, "from os import killpg")
refused(AssertionError, "import sys; assert sys.platform == 'linux'")
sleeper = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
sleeper.send_signal(signal.SIGTERM)
assert sleeper.wait() == -9
"""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="pathlib opens files by another call")
def test_the_simulation_refuses_what_windows_refuses(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", REFUSED],
        env={
            **ENVIRONMENT,
            "PYTHONPATH": str(SIMULATION),
            "VGG_LIT_TEST_DRIVE": str(tmp_path / "D"),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_run_trains_and_resumes(run, windows):
    assert run.status["status"] == "done"
    windows("train", f"resume={run.path}", "trainer.max_epochs=2")
    assert len(run.metrics_file.read_text(encoding="utf-8").splitlines()) == 3
    texts = [*run.path.glob("*.csv"), *run.path.glob("*.json"), *run.path.glob("*.yaml")]
    assert len(texts) > 4
    assert not [file.name for file in texts if b"\r" in file.read_bytes()]


@pytest.mark.slow
def test_a_run_is_used(run, windows, tiny, workplace):
    windows("evaluate", f"run={run.path}")
    assert "Tür/0.png" in windows("predict", f"run={run.path}", "images=photos")
    windows("visualize", f"run={run.path}", "accelerator=cpu")
    assert (run.path / "report.html").is_file()
    windows("export", f"run={run.path}")
    windows("predict", f"model={run.path}/export", "images=photos")
    windows("train", *tiny, "seed=1", f"hydra.run.dir={workplace}/D/run")
    windows("compare", "runs=[logs/runs,D/run]", "output=D/comparison")
    assert (workplace / "D/comparison/comparison.html").is_file()


@pytest.mark.slow
def test_spawned_workers_read_the_images(windows, tiny, workplace):
    windows("train", *tiny, *STREAMED, "hydra.run.dir=D/streamed")
    assert Run(workplace / "D/streamed").status["status"] == "done"


@pytest.mark.slow
def test_two_processes_train(windows, tiny, workplace):
    windows("train", *tiny, "trainer.devices=2", "hydra.run.dir=logs/two")
    assert Run(workplace / "logs/two").status["status"] == "done"


@pytest.mark.slow
@pytest.mark.parametrize("place", ["--standalone", "--master-port={port}"])
def test_two_processes_of_torchrun_train(place, windows, tiny, workplace):
    """The stores of torchrun and of this package need no libuv."""
    directory = f"logs/torchrun{place[:3]}{len(place)}"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = (place.format(port=port), "--nproc-per-node=2", "-m", "vgg_lit.train")
    windows("torchrun", *words, *tiny, "trainer.devices=2", f"hydra.run.dir={directory}")
    assert Run(workplace / directory).status["status"] == "done"


@pytest.mark.slow
def test_jobs_of_a_sweep_run_and_their_tables_are_not_shown(windows, tiny, workplace):
    words = ("seed=0,1", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=logs/sweep")
    out = windows("train", "-m", *tiny, *words)
    assert [job.status for job in Sweep(workplace / "logs/sweep").jobs] == ["done", "done"]
    assert not any(line.startswith(("[0] |", "[0] +")) for line in out.splitlines())
    log = (workplace / "logs/sweep/0/log.txt").read_text(encoding="utf-8")
    assert "┃ metric" in log


@pytest.mark.slow
def test_trials_of_a_search_run(windows, tiny, workplace):
    pytest.importorskip("optuna", reason="needs the extra tune")
    windows("tune", *tiny, "space=none", "model=vgg11_bn,vgg13_bn", "n_trials=2", "name=study")
    assert (workplace / "logs/tune/study/experiment/best.yaml").is_file()


@pytest.mark.slow
def test_ctrl_c_saves_the_work_of_a_job_with_workers(start, tiny, workplace):
    """Ctrl-C reaches the sweep alone, which sends ctrl-break to the group of the job."""
    sweep = start(
        "train", "-m", *tiny, *STREAMED, "trainer.max_epochs=100000", "hydra.sweep.dir=logs/ended"
    )
    job = workplace / "logs/ended/0"
    deadline = time.monotonic() + 200
    while not (job / "checkpoints/last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    sweep.send_signal(signal.SIGINT)
    sweep.communicate(timeout=100)
    assert sweep.returncode == 130
    assert Run(job).status["status"] == "preempted"
    assert "SIGUSR1" in Run(job).status["reason"]  # ctrl-break in the simulation
    path, damages = Run(job).newest_checkpoint()
    assert (path.name, damages) == ("last.ckpt", {})
    assert not list((job / "checkpoints").glob(".*.tmp"))

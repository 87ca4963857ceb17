"""Full disks under the image cache, an export, TensorBoard's files, a study and shared memory.

The disks are mounted in a separate namespace; without the right to mount, the tests are skipped.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vgg_lit.data.image_cache import write_array
from vgg_lit.errors import InputError
from vgg_lit.runs import Run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def on_small_disk(tmp_path):
    """`on_small_disk("600k", "train", ...)`: code, errors and files left of a command in a small disk.

    `place` is another folder to mount it on, with the working directory on a large disk.
    """

    def on_small_disk(space, name, *arguments, place="", **env):
        (tmp_path / "disk").mkdir(exist_ok=True)
        folder = place or "disk"
        cd = "true" if place else "cd disk"
        words = " ".join(map(repr, (sys.executable, "-m", f"vgg_lit.{name}", *arguments)))
        script = f"""
        mount -t tmpfs -o size={space} tmpfs {folder} || exit 77
        ({cd}; {words} > {tmp_path}/out 2> {tmp_path}/errors); code=$?
        find {folder} -type f ! -name .lock > {tmp_path}/files
        find {folder} -name status.json -exec cp {{}} {tmp_path} ';'
        exit $code
        """
        hidden = {k: v for k, v in os.environ.items() if k != "HYDRA_FULL_ERROR"}
        done = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
            cwd=tmp_path,
            env={**hidden, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **env},
            capture_output=True,
            text=True,
            timeout=280,
        )
        if done.returncode == 77 or "unshare" in done.stderr:
            pytest.skip("needs the right to mount a file system")
        left = (tmp_path / "files").read_text().split()
        return done.returncode, (tmp_path / "errors").read_text(), left

    return on_small_disk


@pytest.fixture
def streamed(tiny, images):
    folder = ("data=image_folder", f"data.root={images}", "data.image_size=32", "logger=none")
    return (
        *tiny,
        *folder,
        "data.test_size=20",
        "data.source.in_memory=false",
        "data.source.num_workers=2",
    )


@pytest.fixture
def run_path(tiny_run):
    return f"run={tiny_run.path}"


def test_a_full_disk_under_the_image_cache_is_one_line(tiny, images, on_small_disk, tmp_path):
    words = (*tiny, "data=image_folder", f"data.root={images}", "data.image_size=32")
    env = {"VGG_LIT_CACHE": str(tmp_path / "disk")}
    code, errors, left = on_small_disk("100k", "train", *words, place="disk", **env)
    assert code == 2, errors
    assert errors.startswith(f"error: cannot write the image cache {tmp_path}/disk (needs 0.3 MB")
    assert "VGG_LIT_CACHE" in errors
    assert "data.source.in_memory=false" in errors
    assert errors.count("\n") == 1
    assert [name for name in left if not name.endswith(".lock")] == []
    assert not list(tmp_path.glob("logs/*/*/*"))


def test_a_disk_that_fills_up_under_the_image_cache_is_an_error(tmp_path):
    """The free space was enough when it was checked: another process has used it."""

    def parts():
        yield np.zeros((1, 100_000), np.uint8)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, before[1]))
        yield np.zeros((1, 100_000), np.uint8)

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(InputError, match=r"cannot write the image cache .*VGG_LIT_CACHE"):
            write_array(tmp_path / "images.npy", "a", (2, 100_000), parts())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["torch_export", "safetensors"])
def test_a_full_disk_under_an_export_is_one_line(form, run_path, on_small_disk):
    code, errors, left = on_small_disk(
        "24k", "export", run_path, f"formats=[{form}]", "output=new", PYTHONFAULTHANDLER="1"
    )
    assert code == 1, errors
    assert errors.startswith("error: output=new: cannot be written: No space left on device")
    assert errors.count("\n") == 1
    assert left == []


@pytest.mark.parametrize("space", ["24k", "32k", "36k"])  # in the first epoch, the test, at the end
def test_a_full_disk_under_tensorboard_is_one_line(space, tiny, on_small_disk, tmp_path):
    code, errors, _ = on_small_disk(space, "train", *tiny, "callbacks=none")
    assert code == 1, errors
    assert errors.startswith("error: logs/runs/")
    assert "cannot be written: No space left on device" in errors
    assert errors.count("\n") == 1, errors
    status = (tmp_path / "status.json").read_text()
    assert '"status": "failed"' in status
    assert "No space left on device" in status


def test_a_run_that_cannot_begin_leaves_nothing_behind(tiny, on_small_disk):
    code, errors, left = on_small_disk("4k", "train", *tiny)
    assert code == 1, errors
    assert "No space left on device" in errors
    assert errors.count("\n") == 1
    assert left == []


@pytest.mark.parametrize("space", ["4k", "12k", "24k"])
def test_a_full_disk_under_a_sweep_is_one_line(space, tiny, on_small_disk):
    """The disk is full at Hydra's first file, at a later one, or at the record of the sweep."""
    code, errors, _ = on_small_disk(space, "train", "-m", *tiny, "seed=0,1")
    assert code in (1, 2), errors
    assert "No space left on device" in errors
    assert "Traceback" not in errors
    assert errors.count("error: ") <= 3, errors


def test_workers_with_little_shared_memory_send_batches_through_pipes(
    streamed, on_small_disk, command, tmp_path
):
    """With 64 MB, as Docker gives, torch loses a large batch, and the training waits for ever."""
    env = {"VGG_LIT_CACHE": str(tmp_path / "cache")}
    words = (*streamed, "hydra.run.dir=small")
    code, errors, left = on_small_disk("1m", "train", *words, place="/dev/shm", **env)
    assert code == 0, errors
    assert errors.startswith("warning: /dev/shm is too small for the batches of the workers")
    assert "--shm-size" in errors
    assert errors.count("\n") == 1
    assert left == []
    usual = command("train", *streamed, "hydra.run.dir=large", cwd=tmp_path, **env)
    assert (usual.code, usual.err) == (0, "")
    ours, theirs = (Run(tmp_path / name).metrics for name in ("small", "large"))
    assert ours["train/loss"] == theirs["train/loss"]
    assert ours["test/loss"] == theirs["test/loss"]


def test_without_shared_memory_the_main_process_decodes(streamed, on_small_disk, tmp_path):
    code, errors, _ = on_small_disk(
        "4k,ro", "train", *streamed, place="/dev/shm", VGG_LIT_CACHE=str(tmp_path / "cache")
    )
    assert code == 0, errors
    assert "the main process decodes the images" in errors
    assert errors.count("\n") == 1


def test_a_full_disk_under_a_study_is_one_line(tiny, on_small_disk):
    code, errors, _ = on_small_disk("60k", "tune", *tiny, "n_trials=1")
    assert code in (1, 2), errors
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1, errors

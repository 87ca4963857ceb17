"""Every command runs on a GPU."""

import json
import shutil

import pytest
from PIL import Image

READS_A_RUN = {
    "evaluate": ("flip=true", "scales=[32,40]", "dense=true"),
    "predict": ("images=image.png",),
    "visualize": ("embeddings=16", "images=2"),
    "export": ("formats=[torch_export]", "batch_sizes=[1]", "calibration_images=16"),
    "summarize": (),
    "reproduce": (),
}
"""Arguments of the commands that read a run."""

IN_ANOTHER_PROCESS = {"reproduce"}
ON_CPU = {"export", "summarize"}

SMALL = ("model.width=0.0625", "data.train_size=128", "data.test_size=64", "trainer.max_epochs=1")


def status_of_runs(folder, pattern):
    return [
        json.loads((run / "status.json").read_text())["status"]
        for run in folder.glob(pattern)
        if run.is_dir()
    ]


@pytest.fixture
def launches(null_gpu, tmp_path):
    """`launches("evaluate", "flip=true")`: the kernels that the process of a command launches."""

    def launches(verb, *arguments):
        done = null_gpu("-m", f"vgg_lit.{verb}", *arguments, folder=tmp_path)
        return sum(count for what, count in done.counts.items() if what.startswith("kernel "))

    return launches


def test_a_run_on_a_gpu_is_complete(gpu_run):
    assert json.loads((gpu_run / "status.json").read_text())["status"] == "done"
    assert "null GPU" in (gpu_run / "environment.json").read_text()
    assert (gpu_run / "checkpoints/best.ckpt").is_file()


@pytest.mark.parametrize(
    "verb",
    [
        pytest.param(verb, marks=pytest.mark.slow if verb in IN_ANOTHER_PROCESS else ())
        for verb in READS_A_RUN
    ],
)
def test_a_command_reads_a_run(verb, launches, gpu_run, tmp_path):
    Image.new("L", (28, 28)).save(tmp_path / "image.png")
    found = launches(verb, f"run={gpu_run}", *READS_A_RUN[verb])
    assert (found > 0) == (verb not in IN_ANOTHER_PROCESS | ON_CPU)


def test_a_run_resumes(launches, gpu_run, tmp_path):
    run = shutil.copytree(gpu_run, tmp_path / "run")
    assert launches("train", f"resume={run}", "trainer.max_epochs=2") > 0


def test_runs_are_compared(launches, gpu_run, tmp_path):
    copy = shutil.copytree(gpu_run, tmp_path / "copy")
    launches("compare", f"runs=[{gpu_run},{copy}]")


@pytest.mark.slow  # a process for the trial
def test_a_search_trains(null_gpu, tmp_path):
    null_gpu("-m", "vgg_lit.tune", "trainer=gpu", *SMALL, "n_trials=1", folder=tmp_path)


@pytest.mark.slow
def test_a_learning_rate_is_searched(null_gpu, tmp_path):
    arguments = ("-m", "vgg_lit.train", "trainer=gpu", *SMALL, "find_lr=true")
    done = null_gpu(*arguments, code=1, folder=tmp_path)  # the loss is 0 at each rate
    assert "falls at no rate between 1e-05 and 10 (100 steps)" in done.err
    assert done.counts["kernel cublasLtMatmul"] >= 100


@pytest.mark.slow
def test_processes_of_torchrun_train(null_gpu, tmp_path):
    started = ("-m", "vgg_lit.torchrun", "--nproc-per-node=2", "-m", "vgg_lit.train")
    settings = ("trainer=multinode", "trainer.accelerator=gpu", "data.batch_size=64", *SMALL)
    null_gpu(*started, *settings, folder=tmp_path, NULL_GPU_DEVICES="2")
    assert status_of_runs(tmp_path, "logs/runs/*/*") == ["done"]


@pytest.mark.slow
def test_jobs_of_a_sweep_train_on_two_gpus(null_gpu, tmp_path):
    sweep = ("--multirun", "seed=0,1", "hydra.launcher.n_jobs=2", "trainer=gpu", *SMALL)
    null_gpu("-m", "vgg_lit.train", *sweep, folder=tmp_path, NULL_GPU_DEVICES="2")
    assert status_of_runs(tmp_path, "logs/sweeps/*/*/*") == ["done", "done"]


def test_an_augmentation_is_drawn(launches):
    launches("preview", "augment=trivial_erasing")


def test_a_picture_is_rendered(launches, gpu_run, tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    settings = ("content=a.png", "style=a.png", "variant=vgg11", "steps=2", "size=32")
    assert launches("stylize", *settings, f"weights={gpu_run}") > 0

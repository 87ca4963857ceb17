"""Runs every benchmark from its command line, at sizes too small for meaningful figures."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from vgg_lit import targets

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"

TINY = {
    "capacity": "--nets vgg11 --side 32 --width 0.03125 --batch 1 --repeats 1",
    "data_record": "--images 40 --repeats 1",
    "gpu": "--device cpu",
    "launches": "augment=none augment=flip_shift --device cpu",
    "layers": "--batch 1 --repeats 1",
    "pipeline": "--batch 8 --steps 4 --repeats 1 --images 200",
    "scaling": "--model vgg11_bn --width 0.03125 --batch 8 --steps 1 --repeats 1 --images 200",
    "seeds": (
        "model.width=0.03125 data.train_size=64 data.test_size=40 trainer.max_epochs=1 --seeds 0"
    ),
    "tensorboard_share": (
        "model.width=0.03125 data.train_size=64 data.test_size=40 trainer.max_epochs=1 --device cpu"
    ),
    "time_to_accuracy": (
        "data=fashion_mnist_sample data.train_size=64 data.test_size=40 data.batch_size=64 "
        "model.variant=[[2],[2],[2]] trainer.accumulate_grad_batches=1 --epochs 1 2 "
        "--model vgg11_bn --usual-epochs 1 --targets 0 92 94"
    ),
    "trainer_overhead": "--model vgg11_bn --width 0.03125 --batch 8 --steps 1 --repeats 1",
    "usual_script": "--model vgg11_bn --batch 4 --steps 1 --repeats 1",
}

SHOWS = {
    "capacity": ("vgg11, imagenet", "| 1,024 |", "one after another"),
    "data_record": ("without the record", "a new run", "a resumed run"),
    "gpu": (
        "weights of 8 steps are equal to the bit",
        "| commands | evaluate",
        "x the usual script",
    ),
    "launches": ("augment=flip_shift", "operators per step", "forward and metrics"),
    "layers": ("2x2, 512 -> 512", "bf16, all layers"),
    "pipeline": ("ours", "torchvision v2, 2 workers", "torchvision v2, 0 workers"),
    "scaling": ("vgg19_bn", "2 processes / 1", "resident at most", "cost ~ images^"),
    "seeds": ("seed 0: test accuracy", "start-up to the first step"),
    "tensorboard_share": ("on_train_end", "event files, another thread", "the fit:"),
    "time_to_accuracy": ("fast_cifar10, 2 epochs:", "the usual script, epoch 1", "published"),
    "trainer_overhead": ("bare", "an epoch's end", "weights after 4 steps: 0.0e+00"),
    "usual_script": ("Trainer, 32-true", "usual script", "of the ceiling"),
}


@pytest.fixture
def benchmark(monkeypatch, capsys, tmp_path):
    """`benchmark("layers", "--batch", "1")`: the standard output of a benchmark."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(targets, "_trusted", set())

    def benchmark(name, *arguments):
        monkeypatch.setattr(sys, "argv", [str(FOLDER / f"{name}.py"), *arguments])
        importlib.import_module(name).main()
        return capsys.readouterr().out

    return benchmark


@pytest.mark.parametrize(
    "name",
    [
        name
        if name in ("data_record", "layers", "trainer_overhead")
        else pytest.param(name, marks=pytest.mark.slow)
        for name in sorted(TINY)
    ],
)
def test_benchmark_runs_and_prints_its_closing_line(benchmark, name, tmp_path):
    printed = benchmark(name, *TINY[name].split())
    assert re.fullmatch(rf"{name}: \d+\.\d{{3}}", printed.splitlines()[-1])
    for part in ("threads", "torch 2", *SHOWS[name]):
        assert part in printed
    assert not list(tmp_path.iterdir())  # it leaves no files in the working directory


def test_every_benchmark_is_tested_and_documented():
    files = {path.stem for path in FOLDER.glob("*.py") if "__main__" in path.read_text()}
    assert files == set(TINY)
    described = (FOLDER / "README.md").read_text()
    for name in files:
        assert f"`python benchmarks/{name}.py`" in described

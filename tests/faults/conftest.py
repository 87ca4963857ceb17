"""Fixtures: faulty runs, uninterrupted runs to compare with, and refused commands.

A refused command prints one line, exits with code 2 and takes little memory.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from faulty_runs import RESIDENT, Job, runs_in
from memory import GROWTH, forget_peak, peak
from PIL import Image


@pytest.fixture
def job(tmp_path):
    """`job("seed=1", fault="SIGTERM self 1 5")`: starts a run in tmp_path/logs."""
    return lambda *overrides, fault="nothing self 0 0", folder=tmp_path: Job(
        folder, *overrides, fault=fault
    )


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """120 images in two class folders: enough for 64 training images in any stable split."""
    folder = tmp_path_factory.mktemp("images")
    draws = torch.Generator().manual_seed(0)
    for label, name in enumerate(("bee", "cow")):
        (folder / name).mkdir()
        for index in range(60):
            pixels = torch.randint(0, 128, (12, 12, 3), generator=draws) + 120 * label
            Image.fromarray(pixels.to(torch.uint8).numpy()).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def streaming(images):
    """Overrides that make two workers decode these images in each epoch of 8 steps."""
    return (
        "data=image_folder",
        f"data.root={images}",
        "data.image_size=32",
        "data.source.in_memory=false",
        "data.source.num_workers=2",
        "data.train_size=64",
    )


@pytest.fixture(scope="session")
def whole(tmp_path_factory, streaming):
    """`whole("streaming", 2)`: an uninterrupted run to compare with."""
    runs = {}

    def whole(data, devices):
        if (data, devices) not in runs:
            folder = tmp_path_factory.mktemp("whole") / "home"
            folder.mkdir()
            settings = streaming if data == "streaming" else RESIDENT
            assert Job(folder, *settings, f"trainer.devices={devices}").wait() == 0
            (runs[data, devices],) = runs_in(folder)
        return runs[data, devices]

    return whole


@pytest.fixture
def mark(tmp_path) -> Iterator[Path]:
    """A file that hostile content would write if it were executed; it must not exist at the end."""
    yield tmp_path / "executed"
    assert not (tmp_path / "executed").exists()


@pytest.fixture
def refused(verb, tmp_path, monkeypatch) -> Callable[..., str]:
    """`refused("train", "seed=x")`: returns a refused command's only line, without `error: `."""
    monkeypatch.chdir(tmp_path)

    def refused(name: str, *arguments: str) -> str:
        forget_peak()
        before = peak()
        done = verb(name, *arguments)
        grown = peak() - before
        assert done.code == 2, done
        assert done.err.startswith("error: "), done.err
        assert done.err.count("\n") == 1, done.err
        assert len(done.err) < 2000
        assert grown < GROWTH, f"{grown / 2**20:.0f} MiB"
        return done.err.removeprefix("error: ")

    return refused


@pytest.fixture
def named_classes(tmp_path) -> Callable[..., None]:
    """`named_classes("a", "b")`: the folder images/ with twelve random images of each class."""

    def named_classes(*names: str) -> None:
        draws = np.random.default_rng(0)
        for name in names:
            (tmp_path / "images" / name).mkdir(parents=True)
            for number in range(12):
                pixels = draws.integers(0, 255, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")

    return named_classes

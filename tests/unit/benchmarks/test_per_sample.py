import contextlib
import multiprocessing
import sys
import time
from pathlib import Path

import pytest
import torch
from per_sample import PerSampleImages, PerSamplePipeline

from vgg_lit.data.sources import ResidentImages


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    shape = (40, 3, 32, 32)
    pixels = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return ResidentImages(pixels, torch.arange(40) % 10)


def is_stopped(process):
    """Returns True if a process is stopped: in /proc, the state follows the name in parentheses."""
    return (
        Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        == "T"
    )


def eventually(condition):
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_a_sample_is_normalised_and_augmented_on_each_access(images):
    dataset = PerSampleImages(images)
    torch.manual_seed(0)
    first, label = dataset[3]
    assert first.shape == (3, 32, 32)
    assert first.dtype == torch.float32
    assert label == 3
    assert any(not torch.equal(first, dataset[3][0]) for _ in range(10))
    mean = torch.stack([dataset[index][0] for index in range(40)]).mean()
    assert abs(mean) < 0.5  # the margin's zeros are below the mean pixel


def test_batches_without_workers_are_endless(images):
    pipeline = PerSamplePipeline(PerSampleImages(images), 16, 0, torch.device("cpu"))
    with contextlib.closing(pipeline), pipeline.running():
        batches = [next(pipeline) for _ in range(5)]  # more than an epoch
    assert {x_BCHW.shape for x_BCHW, _ in batches} == {(16, 3, 32, 32)}
    assert all(labels_B.dtype == torch.int64 for _, labels_B in batches)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_workers_are_stopped_outside_of_running(images):
    before = set(multiprocessing.active_children())
    pipeline = PerSamplePipeline(PerSampleImages(images), 4, 2, torch.device("cpu"))
    with contextlib.closing(pipeline):
        workers = set(multiprocessing.active_children()) - before
        assert len(workers) == 2
        assert eventually(lambda: all(map(is_stopped, workers)))
        with pipeline.running():
            assert eventually(lambda: not any(map(is_stopped, workers)))
            next(pipeline)
        assert eventually(lambda: all(map(is_stopped, workers)))
    assert eventually(lambda: not any(worker.is_alive() for worker in workers))

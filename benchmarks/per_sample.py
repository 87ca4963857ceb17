"""The input pipeline of the usual script: torchvision v2 transforms per sample, DataLoader workers.

Random crop from a margin of 4, random flip, normalisation. The pipeline is as fast as a script of
this kind can be: decoded uint8 tensors (faster than PIL images), persistent workers, pinned memory
for a GPU, and an endless order, so that the queue is never empty at the start of an epoch.
"""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator

import torch
from measurement import seconds_per_step
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision.transforms import v2

from vgg_lit.data.sources import ResidentImages, Source


class PerSampleImages(Dataset[tuple[Tensor, int]]):
    """A dataset that transforms each image separately on each access."""

    def __init__(self, images: ResidentImages) -> None:
        self.images_NCHW = images.images_NCHW
        self.labels = images.labels_N.tolist()
        mean, std, *_ = images.statistics()
        self.transform = v2.Compose(
            [
                v2.RandomCrop(images.size, padding=4),
                v2.RandomHorizontalFlip(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(mean, std),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images_NCHW[index]), self.labels[index]


class PerSamplePipeline:
    """Endless batches on the device; the workers run only within `running`.

    Outside of `running` the workers are stopped (SIGSTOP): they take no time from another side and
    prepare no batches. A block starts with the queue that the previous block left. Needs a POSIX
    system.

    Args:
        dataset: dataset to read from.
        batch_size: images per batch.
        num_workers: number of transforming processes; 0 transforms in this process.
        device: device that the batches are copied to.
    """

    def __init__(
        self,
        dataset: PerSampleImages,
        batch_size: int,
        num_workers: int,
        device: torch.device,
    ) -> None:
        self.device = device
        loader = DataLoader(
            dataset,
            batch_size,
            sampler=RandomSampler(dataset, num_samples=len(dataset) * 1_000_000),
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=device.type == "cuda",
        )
        others = set(multiprocessing.active_children())
        self._batches = iter(loader)
        self._workers = set(multiprocessing.active_children()) - others
        self._signal(signal.SIGSTOP)

    def __next__(self) -> tuple[Tensor, Tensor]:
        x_BCHW, labels_B = next(self._batches)
        return x_BCHW.to(self.device, non_blocking=True), labels_B.to(
            self.device, non_blocking=True
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Runs the workers during the `with` block."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self._signal(signal.SIGSTOP)

    def close(self) -> None:
        """Ends the workers."""
        self._signal(signal.SIGCONT)
        del self._batches

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.is_alive() and worker.pid:
                os.kill(worker.pid, number)


@contextlib.contextmanager
def reading(
    source: Source, batch_size: int, num_workers: int, steps: int, device: torch.device
) -> Iterator[Callable[[], float]]:
    """Reads with the pipeline alone; yields a function that reads a block and returns the seconds per batch."""
    images = source.load("train")
    assert isinstance(images, ResidentImages)
    pipeline = PerSamplePipeline(PerSampleImages(images), batch_size, num_workers, device)

    def block() -> float:
        with pipeline.running():
            return seconds_per_step(lambda: next(pipeline), steps, device)

    with contextlib.closing(pipeline):
        yield block

"""CUDA graphs of a compiled network, as far as a GPU that computes nothing shows them.

Not shown: a replayed graph does nothing, so its values and addresses, random numbers in it, and the order of its
work and of NCCL on the device are not checked. Times are constant, so the choices of `max-autotune` mean nothing.
"""

from itertools import pairwise
from typing import NamedTuple

import pytest


class Batch(NamedTuple):
    """A batch of training or validation, and what was captured and launched up to its end."""

    stage: str
    images: int
    captures: int
    launches: int
    kernels: int


@pytest.fixture
def batches(null_gpu, tmp_path):
    """`batches("trainer.devices=2")`: the batches of three epochs."""

    def batches(*settings):
        # the graphs need the caching allocator; the cache of compiled code is empty
        done = null_gpu(
            "tests/null_gpu/compiled_steps.py",
            *settings,
            PYTORCH_NO_CUDA_MEMORY_CACHING="0",
            TORCHINDUCTOR_CACHE_DIR=str(tmp_path),
            NULL_GPU_DEVICES="2",
            NULL_GPU_BYTES="4e9",
        )
        lines = [line.split("\t") for line in done.out.splitlines() if line.count("\t") == 4]
        return [Batch(stage, *map(int, counts)) for stage, *counts in lines]

    return batches


EMA_AND_ACCUMULATION = ("callbacks=[default,ema]", "trainer.accumulate_grad_batches=2")

# DDP sends the gradients of the head while the backward pass of the block continues
TWO_BUCKETS = ("model.width=1", "model.head={hidden:[1024]}")

KERNELS = 69
"""Kernels of a step outside of the graphs: images, loss, metrics and optimiser."""


@pytest.mark.parametrize(
    ("settings", "graphs", "kernels"),
    [
        ((), 1, KERNELS),
        pytest.param(("model.checkpoint_blocks=true",), 1, KERNELS, marks=pytest.mark.slow),
        pytest.param(("trainer.devices=2", *EMA_AND_ACCUMULATION), 1, None, marks=pytest.mark.slow),
        # eight parameters are copied into two buckets
        pytest.param(
            ("trainer.devices=2", "model.checkpoint_blocks=true", *TWO_BUCKETS),
            *(2, KERNELS + 8 + 2),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_graphs_are_captured_once_and_launched_for_each_batch(settings, graphs, kernels, batches):
    found = batches(*settings)
    # each epoch has four steps; the last batch of a validation is smaller
    size = len(found) // 3
    assert [batch.stage for batch in found] == (["train"] * 4 + ["val"] * (size - 4)) * 3
    *_, before_last, last = found
    assert before_last.images > last.images
    # in the first two epochs, graphs warm up and are captured
    settled = found[-size - 1 :]
    assert len({batch.captures for batch in settled}) == 1
    for before, batch in pairwise(settled):
        # a step has a forward and a backward pass
        is_step = batch.stage == "train"
        assert batch.launches - before.launches == graphs * (1 + is_step)
    if kernels:
        steps = [batch.kernels for batch in settled if batch.stage == "train"]
        assert all(after - before <= kernels for before, after in pairwise(steps))

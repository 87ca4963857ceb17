"""CUDA graphs of a compiled network, as far as a GPU that computes nothing shows them.

Not shown: a replayed graph does nothing, so values and addresses in it are not checked.
"""

from itertools import pairwise
from typing import NamedTuple

import pytest


class Batch(NamedTuple):
    """A batch of training or validation, and the graphs that were captured and launched up to its end."""

    stage: str
    images: int
    captures: int
    launches: int


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
        lines = [line.split("\t") for line in done.out.splitlines() if line.count("\t") == 3]
        return [Batch(stage, *map(int, counts)) for stage, *counts in lines]

    return batches


@pytest.mark.parametrize(
    ("settings", "graphs"),
    [
        ((), 1),
        pytest.param(("model.checkpoint_blocks=true",), 1, marks=pytest.mark.slow),
        pytest.param(
            ("trainer.devices=2", "callbacks=[default,ema]", "trainer.accumulate_grad_batches=2"),
            1,
            marks=pytest.mark.slow,
        ),
        # gradients of two buckets: DDP sends those of the head during the backward pass of the block
        pytest.param(
            (
                "trainer.devices=2",
                "model.checkpoint_blocks=true",
                "model.head={hidden:[1024]}",
                "model.width=1",
            ),
            2,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_graphs_are_captured_once_and_launched_for_each_batch(settings, graphs, batches):
    found = batches(*settings)
    # each epoch has four steps; the last batch of a validation is smaller
    stages = [batch.stage for batch in found]
    size = len(found) // 3
    assert stages == (["train"] * 4 + ["val"] * (size - 4)) * 3
    *_, before_last, last = found
    assert before_last.images > last.images
    # in the first two epochs, graphs warm up and are captured
    settled = found[-size - 1 :]
    assert len({batch.captures for batch in settled}) == 1
    for before, batch in pairwise(settled):
        # forward and backward pass
        launched = batch.launches - before.launches
        assert launched == (2 * graphs if batch.stage == "train" else graphs)

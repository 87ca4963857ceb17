"""CUDA graphs of a compiled network, as far as a GPU that computes nothing shows them."""

from itertools import pairwise

import pytest


@pytest.mark.parametrize("kind", ["plain", pytest.param("checkpointed", marks=pytest.mark.slow)])
def test_a_graph_is_captured_once_and_launched_in_each_step(null_gpu, kind, tmp_path):
    # the graphs need the caching allocator; the cache of compiled code is empty
    done = null_gpu(
        "tests/null_gpu/compiled_steps.py",
        kind,
        PYTORCH_NO_CUDA_MEMORY_CACHING="0",
        TORCHINDUCTOR_CACHE_DIR=str(tmp_path),
    )
    lines = [line.split("\t") for line in done.out.splitlines() if line.count("\t") == 2]
    train = [
        (int(captures), int(launches)) for kind, captures, launches in lines if kind == "train"
    ]
    # a warm-up, the captures, then one launch for the forward pass and one for the backward pass
    captures, launches = zip(*train[1:], strict=True)
    assert len(set(captures)) == 1
    assert {after - before for before, after in pairwise(launches)} == {2}
    # a smaller batch does not fail
    assert sum(kind == "val" for kind, _, _ in lines) == 5

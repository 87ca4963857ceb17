"""Other numbers and kinds of devices: none, an old one, a small one, two."""

import pytest
import torch

TINY = (
    *("-m", "vgg_lit.train", "trainer=gpu", "model.width=0.0625", "logger=none"),
    *("data.train_size=128", "data.test_size=64", "data.batch_size=64", "trainer.max_epochs=1"),
)


def test_training_without_a_gpu_is_refused(null_gpu, tmp_path):
    done = null_gpu(*TINY, code=2, folder=tmp_path, NULL_GPU_DEVICES="0")
    assert "torch finds no device of this type; allowed here: cpu, auto" in done.err


def test_an_old_gpu_trains_in_float32(null_gpu, tmp_path):
    done = null_gpu(*TINY, folder=tmp_path, NULL_GPU_CAPABILITY="75")
    assert "1 x cuda, 32-true (CUDA capability 7.5 has no bf16 units)" in done.out


@pytest.mark.parametrize(
    "settings", [("model=vgg16_bn", "model.width=1"), ("find_batch_size=true", "model.width=1")]
)
def test_out_of_memory_is_exit_code_3(settings, null_gpu, tmp_path):
    done = null_gpu(*TINY, *settings, code=3, folder=tmp_path, NULL_GPU_BYTES="2e7")
    assert len(done.err.splitlines()) == 1
    assert "out of memory: " in done.err


def test_a_search_of_the_batch_size_frees_the_memory_that_it_tried(null_gpu):
    done = null_gpu("tests/null_gpu/found_batch_size.py", NULL_GPU_BYTES="8e7")
    found, used, _ = map(int, done.out.splitlines()[-1].split("\t"))
    assert found == 256  # 512 leaves ten steps, but does not fit
    assert used < 1e6


def test_a_found_batch_size_leaves_memory_free(null_gpu):
    # only the caching allocator has a limit
    settings = {"NULL_GPU_BYTES": "1.1e8", "PYTORCH_NO_CUDA_MEMORY_CACHING": "0"}
    done = null_gpu("tests/null_gpu/found_batch_size.py", **settings)
    found, _, most = map(int, done.out.splitlines()[-1].split("\t"))
    assert found == 256  # 512 needs 1.05e8
    assert 0.3 * 1.1e8 < most < 0.9 * 1.1e8


@pytest.mark.slow
def test_a_found_batch_size_trains(null_gpu, tmp_path):
    settings = (*TINY, "find_batch_size=true", "callbacks=[default,ema]", "data.train_size=5120")
    memory = {"NULL_GPU_BYTES": "1.1e8", "PYTORCH_NO_CUDA_MEMORY_CACHING": "0"}
    done = null_gpu(*settings, folder=tmp_path, **memory)
    assert "data.batch_size=256 (was 64)" in done.out


def test_checkpoints_are_copied_to_pinned_memory(null_gpu, tmp_path):
    done = null_gpu(*TINY, "trainer.max_epochs=2", "test=false", folder=tmp_path)
    (path,) = tmp_path.glob("logs/runs/*/*/checkpoints/previous.ckpt")  # of the first epoch
    saved = torch.load(path, weights_only=True)
    momenta = saved["optimizer_states"][0]["state"]
    assert len(momenta) == 42
    assert done.counts["copy device to pinned"] > len(saved["state_dict"]) + len(momenta)


def test_two_gpus_train_by_ddp(null_gpu, tmp_path):
    done = null_gpu(*TINY, "trainer.devices=2", folder=tmp_path, NULL_GPU_DEVICES="2")
    assert "2 x cuda, bf16-mixed" in done.out
    assert done.counts["kernel ncclAllReduce"] > 0
    assert "stream does not match" not in done.err

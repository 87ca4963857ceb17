"""Counted memory matches torch's allocator."""

from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

from vgg_lit.analysis.complexity import measure
from vgg_lit.analysis.memory import KeptForBackward, LiveMemory
from vgg_lit.models import build


def allocated(compute):
    """Returns the result, and the bytes allocated on the CPU at the end and at the peak."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        result = compute()
    events = recorded.profiler.kineto_results.events()
    sizes = [
        e.nbytes() for e in sorted(events, key=lambda e: e.start_ns()) if e.name() == "[memory]"
    ]
    now, peak = 0, 0
    for size in sizes:
        now += size
        peak = max(peak, now)
    return result, now, peak


NETS = {
    "vgg11_bn": {"width": 0.25, "head": "cifar"},
    "vgg16": {"width": 0.25, "head": "gap"},
    "vgg11_lrn": {"width": 0.25, "head": "linear"},
}


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("side", [64, 96])
@pytest.mark.parametrize("variant", NETS)
def test_saved_tensors_match_the_allocator(variant, side, precision):
    batch = 4
    net = build(variant, image_size=side, num_classes=10, **NETS[variant])
    memory = measure(net, (3, side, side), batch, precision).memory
    images = torch.randn(batch, 3, side, side)
    mixed = precision == "bf16-mixed"

    def forward():
        with torch.autocast("cpu", torch.bfloat16) if mixed else nullcontext():
            return net(images)

    logits, kept, _ = allocated(forward)
    kept -= logits.nbytes  # not saved for the backward pass
    kept += 0 if mixed else images.nbytes  # allocated before; mixed precision saves a copy
    assert memory.activations + memory.weight_copies == pytest.approx(kept, rel=0.005)
    assert (memory.weight_copies > 0) == mixed


@pytest.mark.parametrize("side", [64, 96])
def test_the_peak_matches_the_allocator_except_for_library_workspace(side):
    batch = 8
    net = build("vgg11_bn", width=0.25, head="gap", image_size=side, num_classes=10)
    memory = measure(net, (3, side, side), batch).memory
    images, labels = torch.randn(batch, 3, side, side), torch.zeros(batch, dtype=torch.long)
    _, _, peak = allocated(lambda: F.cross_entropy(net(images), labels).backward())
    counted = memory.training - memory.weights - memory.momentum - images.nbytes
    assert counted <= peak <= 1.15 * counted
    net.eval()
    with torch.no_grad():
        _, _, peak = allocated(lambda: net(images))
    assert memory.inference - memory.weights - images.nbytes == pytest.approx(peak, rel=0.01)


def test_live_memory_counts_tensors_until_they_are_freed():
    before = torch.zeros(100)
    with LiveMemory() as memory:
        a = before + 1
        assert memory.now == 400
        views = before.view(10, 10), a.t(), before[3:]
        assert memory.now == 400, "views take no memory"
        a.mul_(2)
        assert memory.now == 400
        b = a + 1
        del a, views
        assert memory.now == 400
        assert b.tolist() == [3.0] * 100
    assert memory.peak == 800


def test_shared_tensors_count_once_and_weights_do_not_count():
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    with (kept := KeptForBackward(net)):
        net(torch.zeros(5, 4))
    # the input, and the output of the ReLU; the second linear layer shares it
    assert dict(kept.activations) == {"": 4 * (5 * 4 + 5 * 8)}
    assert kept.weight_copies == 0

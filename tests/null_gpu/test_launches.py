"""The number of kernels that a training step launches on a GPU."""

from collections import Counter, defaultdict

import pytest

DATA = {
    "augment=none": 5,
    "augment=flip_shift": 12,
    "augment=flip_crop": 12,
    "augment=alternating_flip": 11,
    "augment=alternating_flip_cutout": 20,
    "augment=erasing": 27,
    "augment=flip_crop_erasing": 34,
    "augment=cutmix": 35,
    "augment=mixup": 30,
    "augment=paper": 40,
    "augment=trivial_erasing": 82,
    "augment=autoaugment_cutout": 110,
}
"""The most launches for the images of a batch: loader, augmentation and normalisation."""

NETWORKS = {"augment=none": (69, 50, 23), "model=vgg16_bn": (81, 59, 23)}
"""The most launches of a network without its convolutions, in `NETWORK_PHASES`."""

NETWORK_PHASES = ("forward and metrics", "backward", "rest")


ALONE = "augment=none trainer.precision=32-true"
"""The setting that is compared with the same one on two GPUs: without casts, whose number differs."""

PARAMETERS, BUCKETS = 42, 2
"""The parameters of the default network, and the buckets in which DDP sends their gradients."""


def counted(null_gpu, *settings, **variables):
    """The launches per step by setting, phase and kernel."""
    found = defaultdict(lambda: defaultdict(Counter))
    done = null_gpu("benchmarks/launches.py", "--kernels", *settings, **variables)
    for line in done.out.splitlines():
        if line.count("\t") == 3:
            setting, phase, count, kernel = line.split("\t")
            found[setting][phase][kernel] += float(count)
    return found


@pytest.fixture(scope="module")
def launches(null_gpu):
    """The launches per step by setting, phase and kernel, on one GPU."""
    return counted(null_gpu, *dict.fromkeys([*DATA, *NETWORKS, ALONE]))


@pytest.mark.parametrize("setting", DATA)
def test_images_of_a_batch_need_few_launches(launches, setting):
    assert 0 < launches[setting]["data"].total() <= DATA[setting]


@pytest.mark.parametrize("setting", NETWORKS)
def test_a_network_needs_few_launches(launches, setting):
    phases = [launches[setting][phase].total() for phase in NETWORK_PHASES]
    assert all(0 < count <= most for count, most in zip(phases, NETWORKS[setting], strict=True))


def test_ddp_adds_only_copies_into_buckets_and_all_reduces(launches, null_gpu):
    setting = f"{ALONE} trainer.devices=2"
    together = counted(null_gpu, setting, NULL_GPU_DEVICES="2")[setting]
    alone = launches[ALONE]
    for phase in ("data", "forward and metrics", "rest"):
        assert together[phase] == alone[phase]
    assert not alone["backward"] - together["backward"]
    added = together["backward"] - alone["backward"]
    assert added.pop("ncclAllReduce") == BUCKETS
    assert all("MulFunctor" in kernel for kernel in added)  # a copy also divides
    assert added.total() == PARAMETERS


@pytest.mark.slow
def test_ddp_needs_few_launches_in_bf16(null_gpu):
    setting = "augment=none trainer.devices=2"
    phases = counted(null_gpu, setting, NULL_GPU_DEVICES="2")[setting]
    assert 0 < phases["data"].total() <= DATA["augment=none"]
    forward, backward, rest = (phases[phase].total() for phase in NETWORK_PHASES)
    most_forward, most_backward, most_rest = NETWORKS["augment=none"]
    # each weight and bias, and its gradient, is cast when it is used, so that DDP can send gradients early
    casts = 22 - 1
    assert most_forward < forward <= most_forward + casts
    assert most_backward < backward <= most_backward + casts + PARAMETERS + BUCKETS
    assert 0 < rest <= most_rest

"""The number of kernels that a training step launches on a GPU."""

from collections import Counter

import pytest

DATA = {
    "augment=none": 5,
    "augment=flip_shift": 12,
    "augment=flip_crop": 12,
    "augment=alternating_flip": 11,
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
"""The most launches of a network without its convolutions: forward with metrics, backward, rest."""


@pytest.fixture(scope="module")
def launches(null_gpu):
    """The launches per step by setting and phase."""
    settings = dict.fromkeys([*DATA, *NETWORKS])
    found = {setting: Counter() for setting in settings}
    for line in null_gpu("benchmarks/launches.py", "--kernels", *settings).out.splitlines():
        if line.count("\t") == 3:
            setting, phase, count, _ = line.split("\t")
            found[setting][phase] += float(count)
    return found


@pytest.mark.parametrize("setting", DATA)
def test_images_of_a_batch_need_few_launches(launches, setting):
    assert 0 < launches[setting]["data"] <= DATA[setting]


@pytest.mark.parametrize("setting", NETWORKS)
def test_a_network_needs_few_launches(launches, setting):
    phases = [launches[setting][phase] for phase in ("forward and metrics", "backward", "rest")]
    assert all(0 < count <= most for count, most in zip(phases, NETWORKS[setting], strict=True))

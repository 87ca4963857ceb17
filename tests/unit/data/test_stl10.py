"""STL-10: columns first, and labels from 1."""

import hashlib

import numpy as np
import pytest
import torch

from vgg_lit.data import stl10
from vgg_lit.data.sources import load_checked
from vgg_lit.data.stl10 import SIDE, STL10
from vgg_lit.errors import InputError


@pytest.fixture
def write(tmp_path, monkeypatch):
    """`write(X, y)`: the unpacked files of both splits, with the digests of these."""

    def write(pixels, labels):
        digests = {}
        (tmp_path / "stl10_binary").mkdir(exist_ok=True)
        for split in ("train", "test"):
            for name, array in ((f"{split}_X.bin", pixels), (f"{split}_y.bin", labels)):
                content = np.ascontiguousarray(array, np.uint8).tobytes()
                (tmp_path / "stl10_binary" / name).write_bytes(content)
                digests[name] = hashlib.md5(content).hexdigest()
        monkeypatch.setattr(stl10, "MEMBERS", digests)
        return STL10(tmp_path, download=False)

    return write


def test_images_are_upright_and_labels_from_0(write):
    pixels = np.zeros((2, 3, SIDE, SIDE), np.uint8)
    pixels[0, 1, 5, 90] = 7  # column 5, row 90
    images = load_checked(write(pixels, [1, 10]), "train")
    assert images.labels_N.tolist() == [0, 9]
    assert images.images_NCHW[0, 1, 90, 5] == 7
    assert images.images_NCHW.sum() == 7
    assert images.images_NCHW.dtype == torch.uint8


def test_a_label_out_of_range_is_one_line(write):
    source = write(np.zeros((1, 3, SIDE, SIDE)), [11])
    with pytest.raises(InputError, match="stl10") as refused:
        load_checked(source, "train")
    assert "\n" not in str(refused.value)


def test_the_classes_are_those_of_cifar10_with_monkey_in_place_of_frog():
    names = {"car": "automobile", "monkey": "frog"}
    assert sorted(names.get(name, name) for name in STL10.classes) == sorted(
        ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    )
    assert list(STL10.classes) == sorted(STL10.classes)

"""One .npz file in MedMNIST's layout: read, converted, and refused in one line."""

import io
import random
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from vgg_lit.data import ImageDataModule
from vgg_lit.data.npz import NpzImages
from vgg_lit.data.sources import Source, load_checked
from vgg_lit.errors import InputError

NUM = {"train": 30, "val": 12, "test": 10}


def arrays(channels=3, side=9, labels_ndim=2):
    draws = np.random.default_rng(0)
    found = {}
    for split, num in NUM.items():
        shape = (num, side, side, 3) if channels == 3 else (num, side, side)
        found[f"{split}_images"] = draws.integers(0, 256, shape, dtype=np.uint8)
        labels = (np.arange(num) % 4).astype(np.uint8)
        found[f"{split}_labels"] = labels[:, None] if labels_ndim == 2 else labels
    return found


@pytest.fixture
def write(tmp_path):
    def write(save=np.savez_compressed, **changed):
        content = {**arrays(), **changed}
        content = {name: array for name, array in content.items() if array is not None}
        save(tmp_path / "tiny.npz", **content)
        return tmp_path / "tiny.npz"

    return write


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("labels_ndim", [1, 2])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("in_channels", [1, 3])
def test_images_are_converted(write, save, channels, in_channels, labels_ndim):
    content = arrays(channels, labels_ndim=labels_ndim)
    source = NpzImages(write(save, **content), in_channels=in_channels)
    assert isinstance(source, Source)
    assert source.name == "tiny"
    assert source.classes == ("0", "1", "2", "3")
    source.prepare()
    assert source.has_validation
    for split, num in NUM.items():
        images = load_checked(source, split)
        assert images.images_NCHW.shape == (num, in_channels, 9, 9)
        assert images.images_NCHW.is_contiguous()
        assert images.labels_N.tolist() == [i % 4 for i in range(num)]
        picture = Image.fromarray(content[f"{split}_images"][1])
        pixels = np.array(picture.convert("L" if in_channels == 1 else "RGB"))
        pixels = torch.from_numpy(pixels.reshape(9, 9, in_channels)).permute(2, 0, 1)
        assert torch.equal(images.images_NCHW[1], pixels)


def test_arrays_in_fortran_order_and_big_endian_labels(write):
    images = np.asfortranarray(arrays()["train_images"])
    labels = arrays()["train_labels"].astype(">i4")
    source = NpzImages(write(train_images=images, train_labels=labels))
    found = source.load("train")
    assert np.array_equal(found.images_NCHW.numpy(), images.transpose(0, 3, 1, 2))
    assert found.labels_N.tolist() == [i % 4 for i in range(30)]


@pytest.mark.parametrize(
    ("absent", "sizes"),
    [
        ({}, {"train": 30, "val": 12, "test": 10}),
        ({"val_images": None, "val_labels": None}, {"train": 24, "val": 6, "test": 10}),
    ],
)
def test_the_data_module_pads_and_uses_validation_images(absent, sizes, write):
    source = NpzImages(write(**absent))
    datamodule = ImageDataModule(source, image_size=16, batch_size=8, val_fraction=0.2)
    datamodule.prepare_data()
    datamodule.setup()
    assert datamodule.sizes == sizes
    assert datamodule.classes == ("0", "1", "2", "3")


def test_class_names(write):
    source = NpzImages(write(), classes=["a", "b", "c", "d", "never seen"])
    assert source.classes == ("a", "b", "c", "d", "never seen")
    with pytest.raises(InputError, match=r"classes: 3 names; .* has labels up to 3"):
        _ = NpzImages(write(), classes=["a", "b", "c"]).classes


def test_a_file_without_validation_images(write):
    source = NpzImages(write(val_images=None, val_labels=None))
    assert not source.has_validation
    assert len(source.classes) == 4


class Bomb:
    """Ends the process if it is unpickled."""

    def __reduce__(self):
        import os

        return os._exit, (77,)


REFUSED = {
    "test_images: not in the file": {"test_images": None},
    "train_labels: not in the file": {"train_labels": None},
    "train_labels: 14 labels per image; must be 1": {"train_labels": np.zeros((30, 14), np.uint8)},
    r"train_labels: float64 \(30,\); must be integers": {"train_labels": np.zeros(30)},
    "train_labels: holds Python objects": {"train_labels": np.array([Bomb()] * 30, object)},
    "train_images: holds Python objects": {"train_images": np.array([Bomb()] * 30, object)},
    r"train_images: float32 .*; must be uint8": {"train_images": np.zeros((30, 9, 9), np.float32)},
    r"must be uint8 \(N, H, H\)": {"train_images": np.zeros((30, 9, 9, 4), np.uint8)},
    "train_images: 9 x 8; must be square": {"train_images": np.zeros((30, 9, 8), np.uint8)},
    "train_images: 29 images, but 30 labels": {"train_images": np.zeros((29, 9, 9), np.uint8)},
    "test images": {
        "test_images": np.zeros((0, 9, 9), np.uint8),
        "test_labels": np.zeros(0, np.uint8),
    },
    "train labels are -1 to 2": {"train_labels": np.arange(30).astype(np.int8) % 4 - 1},
}


@pytest.mark.parametrize("message", REFUSED)
def test_unusable_arrays_are_refused(write, message):
    with pytest.raises(InputError, match=message) as caught:
        load_all(write(**REFUSED[message]))
    assert "\n" not in str(caught.value)


def load_all(path):
    source = NpzImages(path)
    source.prepare()
    for split in ("train", "test"):
        load_checked(source, split)


def test_a_file_cut_or_changed_anywhere_is_refused_or_read(write):
    """A changed byte of an archive's bookkeeping may leave the arrays readable."""
    path = write()
    content = path.read_bytes()
    draws = random.Random(0)
    for _ in range(40):
        path.write_bytes(content[: draws.randrange(len(content))])
        with pytest.raises(InputError, match=r"tiny\.npz: ") as caught:
            load_all(path)
        assert "\n" not in str(caught.value)
    for _ in range(80):
        place = draws.randrange(len(content))
        flipped = content[place] ^ (1 << draws.randrange(8))
        path.write_bytes(content[:place] + bytes([flipped]) + content[place + 1 :])
        assert "\n" not in message_of(path)


def message_of(path):
    try:
        load_all(path)
    except InputError as error:
        return str(error)
    return ""


def test_a_header_larger_than_the_data_allocates_nothing(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 10**5, 10**5)}
    )
    with zipfile.ZipFile(tmp_path / "tiny.npz", "w") as archive:
        for split in ("train", "test"):
            archive.writestr(f"{split}_images.npy", header.getvalue())
            archive.writestr(f"{split}_labels.npy", header.getvalue())
    with pytest.raises(InputError, match="its header does not match its size"):
        load_all(tmp_path / "tiny.npz")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip file" * 100])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "tiny.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"tiny\.npz: damaged, or not an \.npz file"):
        load_all(tmp_path / "tiny.npz")


def test_a_missing_file_or_wrong_channels_are_refused(tmp_path, write):
    with pytest.raises(InputError, match=r"root=.*none\.npz: no such file"):
        NpzImages(tmp_path / "none.npz")
    with pytest.raises(InputError, match="in_channels=2: must be 1"):
        NpzImages(write(), in_channels=2)

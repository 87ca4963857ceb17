"""Fifty corrupt data files are refused by name; a corrupt pickle is never loaded."""

import gzip
import hashlib
import pickle

import numpy as np
import pytest
import torch

from vgg_lit.data import cifar10, fashion_mnist
from vgg_lit.data.cifar10 import CIFAR10
from vgg_lit.data.fashion_mnist import FashionMNIST
from vgg_lit.errors import InputError

NUM = {"train": 300, "t10k": 100}


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.numpy().tobytes()


@pytest.fixture
def idx_files(monkeypatch):
    """Small files that replace Fashion-MNIST's: name -> content."""
    files = {}
    for prefix, num in NUM.items():
        pixels = torch.randint(0, 256, (num, 28, 28), dtype=torch.uint8)
        files[f"{prefix}-images-idx3-ubyte"] = idx(pixels)
        files[f"{prefix}-labels-idx1-ubyte"] = idx((torch.arange(num) % 10).to(torch.uint8))
    digests = {name: hashlib.sha256(body).hexdigest() for name, body in files.items()}
    monkeypatch.setattr(fashion_mnist, "IDX_FILES", digests)
    return files


def flip(body, place):
    return body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]


DAMAGE = {
    "empty": lambda body: b"",
    "cut": lambda body: body[:-1],
    "one bit": lambda body: flip(body, len(body) // 2),
    "a label out of range": lambda body: body[:-1] + bytes([body[-1] ^ 0x80]),
    "another count": lambda body: flip(body, 7),
    "another type": lambda body: flip(body, 2),
}
FILES = [f"{prefix}-{what}-ubyte" for prefix in NUM for what in ("images-idx3", "labels-idx1")]
IDX_CASES = [(name, damage, zipped) for name in FILES for damage in DAMAGE for zipped in (0, 1)]

CIFAR_DAMAGE = {
    "a payload": lambda body, payload: payload,
    "one bit": lambda body, payload: flip(body, len(body) // 2),
}


def test_there_are_fifty():
    assert len(IDX_CASES) + len(CIFAR_DAMAGE) == 50


@pytest.mark.parametrize(("name", "damage", "zipped"), IDX_CASES)
def test_a_damaged_fashion_mnist_file_is_named(name, damage, zipped, idx_files, tmp_path):
    idx_files[name] = DAMAGE[damage](idx_files[name])
    for file, body in idx_files.items():
        path = tmp_path / (f"{file}.gz" if zipped else file)
        path.write_bytes(gzip.compress(body) if zipped else body)
    source = FashionMNIST(tmp_path, download=False)
    source.prepare()
    with pytest.raises(InputError, match=f"{name}.*damaged") as caught:
        source.load("train" if name.startswith("train") else "test")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", CIFAR_DAMAGE)
def test_a_damaged_cifar10_batch_is_not_unpickled(damage, mark, tmp_path, monkeypatch):
    class Payload:
        def __reduce__(self):
            return exec, (f"open({str(mark)!r}, 'w')",)

    data = np.zeros((4, 3072), np.uint8)
    bodies = {
        name: pickle.dumps({"data": data, "labels": [0, 1, 2, 3]}) for name in cifar10.ARCHIVE_FILES
    }
    digests = {name: hashlib.sha256(body).hexdigest() for name, body in bodies.items()}
    monkeypatch.setattr(cifar10, "ARCHIVE_FILES", digests)
    bodies["data_batch_2"] = CIFAR_DAMAGE[damage](bodies["data_batch_2"], pickle.dumps(Payload()))
    (tmp_path / cifar10.FOLDER).mkdir()
    for name, body in bodies.items():
        (tmp_path / cifar10.FOLDER / name).write_bytes(body)
    with pytest.raises(InputError, match="data_batch_2: damaged") as caught:
        CIFAR10(tmp_path).load("train")
    assert "\n" not in str(caught.value)


def test_train_refuses_damaged_data_in_one_line(refused, idx_files, tmp_path):
    for file, body in idx_files.items():
        (tmp_path / file).write_bytes(body[:-1])
    error = refused("train", "data=fashion_mnist", f"data_root={tmp_path}")
    assert "train-images-idx3-ubyte: damaged (not the published content); delete it" in error
    assert not (tmp_path / "logs/runs").exists() or not list((tmp_path / "logs/runs").glob("*/*"))

"""Small copies of the published data sets, written in the published formats.

Each function writes the files of a data set and patches the expected digests to theirs. It returns
the contents that a server offers: name -> bytes.
"""

import gzip
import hashlib
import io
import pickle
import tarfile
import zipfile

import numpy as np
import scipy.io

from vgg_lit.data import cifar100, mnist, stl10, svhn
from vgg_lit.data.sources import load_checked

NUM = {"train": 30, "test": 20}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()


def tar_gz(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _idx_pairs():
    for prefix, split in (("train", "train"), ("t10k", "test")):
        yield f"{prefix}-images-idx3-ubyte", idx(pixels(NUM[split], 28, 28))
        yield f"{prefix}-labels-idx1-ubyte", idx((np.arange(NUM[split]) % 10).astype(np.uint8))


def make_mnist(monkeypatch):
    contents = dict(_idx_pairs())
    digests = {name: sha256(content) for name, content in contents.items()}
    monkeypatch.setattr(mnist, "MNIST_FILES", digests)
    return {f"{name}.gz": gzip.compress(content) for name, content in contents.items()}


def make_kmnist(monkeypatch):
    zipped = {name: gzip.compress(content) for name, content in _idx_pairs()}
    digests = {name: sha256(content) for name, content in zipped.items()}
    monkeypatch.setattr(mnist, "KMNIST_FILES", digests)
    return {f"{name}.gz": content for name, content in zipped.items()}


def make_emnist(monkeypatch):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, first, classes in (
            *(("balanced", 0, 47), ("byclass", 0, 62), ("bymerge", 0, 47)),
            *(("letters", 1, 26), ("digits", 0, 10), ("mnist", 0, 10)),
        ):
            for split in NUM:
                images = pixels(classes, 28, 28).transpose(0, 2, 1)
                labels = (first + np.arange(classes)).astype(np.uint8)
                prefix = f"gzip/emnist-{name}-{split}"
                content = gzip.compress(idx(np.ascontiguousarray(images)))
                archive.writestr(f"{prefix}-images-idx3-ubyte.gz", content)
                archive.writestr(f"{prefix}-labels-idx1-ubyte.gz", gzip.compress(idx(labels)))
    monkeypatch.setattr(mnist, "EMNIST_SHA256", sha256(buffer.getvalue()))
    return {"gzip.zip": buffer.getvalue()}


def make_cifar100(monkeypatch):
    members = {"meta": pickle.dumps({"fine_label_names": list(cifar100.FINE)})}
    for split, num in NUM.items():
        fine = [position % 100 for position in range(num)]
        batch = {"data": pixels(num, 3072), "fine_labels": fine}
        members[split] = pickle.dumps({**batch, "coarse_labels": [label // 5 for label in fine]})
    digests = {name: hashlib.md5(content).hexdigest() for name, content in members.items()}
    monkeypatch.setattr(cifar100, "MEMBERS", digests)
    extra = {"cifar-100-python/file.txt~": b"hello"}
    archive = tar_gz({f"cifar-100-python/{n}": content for n, content in members.items()} | extra)
    monkeypatch.setattr(cifar100, "ARCHIVE_SHA256", sha256(archive))
    return {"cifar-100-python.tar.gz": archive}


def make_stl10(monkeypatch):
    members = {}
    for split, num in NUM.items():
        images = pixels(num, 3, 96, 96).transpose(0, 1, 3, 2)  # stored columns first
        members[f"{split}_X.bin"] = np.ascontiguousarray(images).tobytes()
        members[f"{split}_y.bin"] = (1 + np.arange(num) % 10).astype(np.uint8).tobytes()
    digests = {name: hashlib.md5(content).hexdigest() for name, content in members.items()}
    monkeypatch.setattr(stl10, "MEMBERS", digests)
    extra = {"stl10_binary/unlabeled_X.bin": b"\0" * 1000, "stl10_binary/class_names.txt": b"bird"}
    archive = tar_gz({f"stl10_binary/{n}": content for n, content in members.items()} | extra)
    monkeypatch.setattr(stl10, "ARCHIVE_SHA256", sha256(archive))
    return {"stl10_binary.tar.gz": archive}


def make_svhn(monkeypatch):
    files = {}
    for split, num in (*NUM.items(), ("extra", 7)):
        buffer = io.BytesIO()
        labels = (1 + np.arange(num) % 10).astype(np.uint8)[:, None]  # 10 is the digit 0
        arrays = {"X": pixels(num, 3, 32, 32).transpose(2, 3, 1, 0), "y": labels}
        scipy.io.savemat(buffer, arrays, do_compression=True)
        files[f"{split}_32x32.mat"] = buffer.getvalue()
    digests = {name: sha256(content) for name, content in files.items()}
    monkeypatch.setattr(svhn, "FILES", digests)
    return files


SHAPE = {
    "mnist": (1, 28, 28),
    "kmnist": (1, 28, 28),
    "emnist": (1, 28, 28),
    "cifar100": (3, 32, 32),
    "stl10": (3, 96, 96),
    "svhn": (3, 32, 32),
}


def check_images(name, source):
    train, test = load_checked(source, "train"), load_checked(source, "test")
    num = {"train": 47, "test": 47} if name == "emnist" else NUM
    assert train.images_NCHW.shape == (num["train"], *SHAPE[name])
    assert test.images_NCHW.shape == (num["test"], *SHAPE[name])
    expected = pixels(num["train"], *SHAPE[name])
    assert np.array_equal(train.images_NCHW.numpy(), expected)  # upright and in order
    assert train.images_NCHW.is_contiguous()
    if name in ("mnist", "kmnist", "stl10"):
        assert test.labels_N.tolist() == [i % 10 for i in range(20)]

import hashlib
import pickle
import tarfile

import numpy as np
import pytest
import torch
from torchvision import datasets

from vgg_lit.data.cifar10 import CIFAR10, CLASSES
from vgg_lit.errors import InputError

FOLDER = "cifar-10-batches-py"


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A tiny data set in place of the published one: a folder with the archive alone."""
    folder = tmp_path / "made" / FOLDER
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    names = [name for name, _ in datasets.CIFAR10.train_list + datasets.CIFAR10.test_list]
    for name in names:
        data = generator.integers(0, 256, (4, 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": [0, 1, 2, 3]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(CLASSES)}))
    root = tmp_path / "root"
    root.mkdir()
    archive = root / datasets.CIFAR10.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, FOLDER)
    md5s = [[name, md5(folder / name)] for name in names]
    monkeypatch.setattr(datasets.CIFAR10, "train_list", md5s[:5])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", md5s[5:])
    meta = datasets.CIFAR10.meta | {"md5": md5(folder / "batches.meta")}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(archive))
    monkeypatch.setattr(datasets.CIFAR10, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    return root


def test_the_archive_in_root_is_unpacked(published):
    source = CIFAR10(published, download=False)
    source.prepare()
    train, test = source.load("train"), source.load("test")
    assert train.images_NCHW.shape == (20, 3, 32, 32)
    assert train.images_NCHW.is_contiguous()
    assert train.labels_N.tolist() == [0, 1, 2, 3] * 5
    assert train.labels_N.dtype == torch.int64
    first = pickle.loads((published / FOLDER / "test_batch").read_bytes())["data"]
    assert test.images_NCHW.numpy().tobytes() == first.tobytes()
    assert sorted(p.name for p in published.iterdir()) == sorted(
        [FOLDER, datasets.CIFAR10.filename]
    )


def test_a_damaged_file_is_never_unpickled(published):
    source = CIFAR10(published)
    source.prepare()

    class Bomb:
        def __reduce__(self):
            return exec, ("raise SystemExit('unpickled')",)

    (published / FOLDER / "data_batch_3").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match=r"data_batch_3: absent or damaged.*delete the folder"):
        source.load("train")
    (published / FOLDER / "data_batch_3").unlink()
    with pytest.raises(InputError, match="data_batch_3"):
        source.load("test")


def test_a_damaged_archive(published):
    archive = published / datasets.CIFAR10.filename
    archive.write_bytes(archive.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"cifar-10-python\.tar\.gz: damaged"):
        CIFAR10(published).prepare()


@pytest.mark.parametrize("download", [True, False])
def test_absent(published, download, monkeypatch):
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    (published / datasets.CIFAR10.filename).unlink()
    source = CIFAR10(published, download=download)
    with pytest.raises(InputError, match=r"put cifar-10-python\.tar\.gz into") as caught:
        source.prepare()
    assert "\n" not in str(caught.value)
    assert not list(published.iterdir())
    with pytest.raises(InputError, match="absent"):
        source.load("train")

"""MNIST, Kuzushiji-MNIST and EMNIST: their splits and classes."""

import gzip

import pytest
import small_sets
from torchvision import datasets

from vgg_lit.data.mnist import EMNIST, MNIST
from vgg_lit.data.sources import load_checked


@pytest.mark.parametrize("split", ["balanced", "byclass", "bymerge", "letters", "digits", "mnist"])
def test_emnist_splits(split, tmp_path, monkeypatch):
    (tmp_path / "emnist").mkdir()
    content = small_sets.make_emnist(monkeypatch)["gzip.zip"]
    (tmp_path / "emnist/gzip.zip").write_bytes(content)
    source = EMNIST(tmp_path, download=False, split=split)
    source.prepare()
    labels = load_checked(source, "train").labels_N
    assert labels.tolist() == list(range(len(source.classes)))
    names = datasets.EMNIST.classes_split_dict[split]
    assert list(source.classes) == [name for name in names if name != "N/A"]


def test_uncompressed_mnist_is_used(tmp_path, monkeypatch):
    (tmp_path / "mnist").mkdir()
    for file, content in small_sets.make_mnist(monkeypatch).items():
        (tmp_path / "mnist" / file.removesuffix(".gz")).write_bytes(gzip.decompress(content))
    source = MNIST(tmp_path, download=False)
    source.prepare()
    small_sets.check_images("mnist", source)

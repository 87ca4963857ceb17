"""CIFAR-100 with fine and coarse labels."""

import small_sets

from vgg_lit.data import cifar100
from vgg_lit.data.cifar100 import CIFAR100


def test_coarse_labels(tmp_path, monkeypatch):
    archive = small_sets.make_cifar100(monkeypatch)["cifar-100-python.tar.gz"]
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(archive)
    source = CIFAR100(tmp_path, labels="coarse")
    source.prepare()
    assert source.load("train").labels_N.tolist() == [i // 5 for i in range(30)]
    assert len(source.classes) == len(set(source.classes)) == 20


def test_cifar100_has_a_hundred_sorted_names():
    assert len(set(cifar100.FINE)) == 100
    assert list(cifar100.FINE) == sorted(cifar100.FINE)
    assert list(cifar100.COARSE) == sorted(cifar100.COARSE, key=lambda name: name.replace("-", "."))

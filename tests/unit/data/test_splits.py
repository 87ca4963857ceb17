import pytest
import torch

from vgg_lit.data.splits import stratified_subset


@pytest.mark.parametrize("size", [0, 1, 17, 100, 1000])
def test_every_class_keeps_its_share(size):
    labels = torch.arange(1000) % 7
    labels[:200] = 0
    mask = stratified_subset(labels, torch.arange(1000), size, 0, "s")
    assert mask.sum() == size
    counts = torch.bincount(labels, minlength=7)
    shares = torch.bincount(labels[mask], minlength=7)
    assert ((shares - counts * size / 1000).abs() < 1).all()


def test_a_subset_depends_on_sample_ids_not_on_positions():
    labels, ids = torch.arange(100) % 2, torch.arange(100)
    mask = stratified_subset(labels, ids, 30, 1, "s")
    turned = stratified_subset(labels.flip(0), ids.flip(0), 30, 1, "s")
    assert torch.equal(mask, turned.flip(0))
    assert not torch.equal(mask, stratified_subset(labels, ids, 30, 2, "s"))
    assert not torch.equal(mask, stratified_subset(labels, ids, 30, 1, "t"))


def test_a_larger_subset_contains_a_smaller_one():
    labels, ids = torch.arange(100) % 2, torch.arange(100)
    small, large = (stratified_subset(labels, ids, size, 0, "s") for size in (20, 60))
    assert (large | ~small).all()

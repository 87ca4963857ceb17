import pytest
import torch

from vgg_lit.data.splits import stratified_folds, stratified_subset


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


def test_few_samples_are_spread_over_all_classes():
    labels = torch.arange(3000) // 3
    ids = torch.arange(3000)
    mask = stratified_subset(labels, ids, 300, 0, "s")
    chosen = labels[mask]
    assert len(set(chosen.tolist())) == 300
    assert torch.histc(chosen.float(), 10, 0, 999).min() > 10
    # which classes are chosen depends on ids, not on the order of the labels
    again = stratified_subset(999 - labels, ids, 300, 0, "s")
    assert torch.equal(mask, again)


def test_bounds_for_each_class():
    labels = torch.tensor([0] * 100 + [1] * 3 + [2] * 2 + [3])
    mask = stratified_subset(labels, torch.arange(106), 20, 0, "s", at_least=1, keep=1)
    assert torch.bincount(labels[mask], minlength=4).tolist() == [19, 1, 1, 0]
    mask = stratified_subset(labels, torch.arange(106), 100, 0, "s", keep=1)
    assert torch.bincount(labels[mask], minlength=4).tolist() == [94, 2, 1, 0]


def test_published_splits_are_as_before():
    labels, ids = torch.arange(6000) % 10, torch.arange(6000)
    mask = stratified_subset(labels, ids, 64, 3, "train_size", keep=1)
    assert torch.bincount(labels[mask]).tolist() == [7, 7, 7, 7, 6, 6, 6, 6, 6, 6]
    assert int(ids[mask].sum()) == 196136


@pytest.mark.parametrize("folds", [2, 5, 7])
def test_folds_partition_the_samples_and_keep_the_shares_of_classes(folds):
    labels = torch.arange(1000) % 7
    labels[:200] = 0
    fold = stratified_folds(labels, torch.arange(1000), folds, 0)
    sizes = torch.bincount(fold, minlength=folds)
    assert len(sizes) == folds
    assert sizes.max() - sizes.min() <= 1
    for label in range(7):
        sizes = torch.bincount(fold[labels == label], minlength=folds)
        assert sizes.max() - sizes.min() <= 1


def test_folds_depend_on_seed_and_sample_ids_not_on_positions():
    """There are more samples than draws differ for: equal draws are ordered by id."""
    ids = torch.arange(60_000)
    labels = ids % 3
    fold = stratified_folds(labels, ids, 5, 1)
    shuffled = torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))
    again = stratified_folds(labels[shuffled], ids[shuffled], 5, 1)
    assert torch.equal(again, fold[shuffled])
    assert (fold != stratified_folds(labels, ids, 5, 2)).float().mean() > 0.7

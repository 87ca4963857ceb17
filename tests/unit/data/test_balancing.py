"""The balanced order: classes equally often, images evenly, as a function of seed and epoch."""

import pytest
import torch

from vgg_lit.data.balancing import REPEAT, balanced_order

LABELS = torch.tensor([0] * 90 + [1] * 9 + [3] * 3)


@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_classes_and_their_images_are_visited_equally_often(epoch):
    order = balanced_order(LABELS, 0, epoch)
    positions, repeats = order % REPEAT, order // REPEAT
    assert len(order) == len(LABELS)
    assert torch.bincount(LABELS[positions]).tolist() == [34, 34, 0, 34]
    visits = torch.bincount(positions, minlength=len(LABELS))
    for label in (0, 1, 3):
        of_class = visits[label == LABELS]
        assert of_class.max() - of_class.min() <= 1
    # every visit of an image has another number
    assert len(set(order.tolist())) == len(order)
    assert (repeats < visits[positions]).all()


def test_the_order_is_a_function_of_seed_and_epoch():
    first = balanced_order(LABELS, 0, 0)
    assert torch.equal(balanced_order(LABELS, 0, 0), first)
    assert not torch.equal(balanced_order(LABELS, 0, 1), first)
    assert not torch.equal(balanced_order(LABELS, 1, 0), first)
    # large classes show other images in each epoch
    seen = [set((balanced_order(LABELS, 0, e) % REPEAT).tolist()) for e in range(30)]
    assert set().union(*seen) == set(range(len(LABELS)))


def test_classes_are_mixed():
    labels = LABELS[balanced_order(LABELS, 0, 0) % REPEAT]
    assert all(len(set(part.tolist())) == 3 for part in labels.split(17))


def test_the_remaining_visits_go_to_other_classes_in_other_epochs():
    labels = torch.arange(5).repeat(5)[:23]  # 23 visits of 5 classes
    counts = [torch.bincount(labels[balanced_order(labels, 0, e) % REPEAT]) for e in range(20)]
    assert all(sorted(count.tolist()) == [4, 4, 5, 5, 5] for count in counts)
    assert len({tuple(count.tolist()) for count in counts}) > 3

"""Classes, labels and normalisation of a data module of the user."""

import lightning as L
import numpy as np
import pytest
import torch
from custom_modules import Halves, pictures
from torch.utils.data import DataLoader, Subset
from torchvision import transforms

from vgg_lit.data.custom_facts import LABELS, find_facts, find_loader, is_of_pixels
from vgg_lit.errors import InputError

NAN = float("nan")


def test_the_normalisation_is_read_from_the_transform():
    data_set = pictures(8, 0)
    data_set.transform = transforms.Compose([transforms.Normalize([0.1] * 3, [0.2] * 3)])
    facts = find_facts(Halves(), {"num_classes": 3}, torch.utils.data.Subset(data_set, [1, 2]))
    assert (facts.mean, facts.std) == ((0.1,) * 3, (0.2,) * 3)
    assert facts.labels_N.tolist() == [1, 2]


class Declaring:
    """A data module with attributes."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


def test_what_the_config_declares_comes_first():
    module = Declaring(num_classes=2, classes=["x", "y"], mean=[0.1], std=[0.2])
    facts = find_facts(module, {}, None)
    assert (facts.classes, facts.has_names) == (("x", "y"), True)
    assert (facts.mean, facts.std, facts.labels_N) == ((0.1,), (0.2,), None)
    declared = {"classes": ["p", "q"], "mean": [0.3], "std": [0.4]}
    facts = find_facts(module, declared, None)
    assert (facts.classes, facts.mean, facts.std) == (("p", "q"), (0.3,), (0.4,))


def test_a_mean_without_std_is_not_used():
    facts = find_facts(Declaring(num_classes=2, mean=[0.1]), {}, None)
    assert (facts.mean, facts.std) == (None, None)


@pytest.mark.parametrize("name", ["classes", "class_names"])
def test_names_are_those_of_the_data_set_that_is_wrapped(name):
    data_set = pictures(6, 0)
    setattr(data_set, name, ("a", "b", "c"))
    wrapped = Subset(Subset(data_set, range(4)), [3, 0])
    facts = find_facts(Declaring(), {}, wrapped)
    assert (facts.classes, facts.has_names) == (("a", "b", "c"), True)
    assert facts.labels_N.tolist() == [0, 0]


class Listed:
    """A data set with some attribute of labels."""

    def __init__(self, **attributes):
        vars(self).update(attributes)

    def __len__(self):
        return 3

    def __getitem__(self, position):
        raise AssertionError("an image was read to find out about the labels")


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize(
    "labels",
    [[2, 0, 1], (2, 0, 1), torch.tensor([[2], [0], [1]]), np.array([2, 0, 1], np.uint8)],
    ids=["list", "tuple", "column", "array"],
)
def test_labels_are_found_under_usual_names(name, labels):
    facts = find_facts(Declaring(), {}, Listed(**{name: labels}))
    assert facts.labels_N.tolist() == [2, 0, 1]
    assert facts.labels_N.dtype == torch.int64
    assert (facts.classes, facts.has_names) == (("0", "1", "2"), False)


@pytest.mark.parametrize(
    "labels",
    [None, ["a", "b", "c"], [0.5, 1.0, 2.0], [0, 1], [[0, 1], [1, 0], [0, 0]], [[0], [1, 2], []]],
    ids=["none", "text", "float", "two", "one-hot", "ragged"],
)
def test_other_attributes_are_no_labels(labels):
    facts = find_facts(Declaring(num_classes=3), {}, Listed(targets=labels))
    assert facts.labels_N is None
    assert facts.classes == ("0", "1", "2")


def test_an_endless_data_set_has_no_known_labels():
    class Endless(torch.utils.data.IterableDataset):
        labels = (0, 1)

        def __iter__(self):
            yield from ()

    assert find_facts(Declaring(num_classes=2), {}, Endless()).labels_N is None


@pytest.mark.parametrize(
    ("images", "expected"),
    [([0.0, 1.0], True), ([0.5], True), ([-0.1, 1.0], False), ([255.0], False), ([NAN], False)],
)
def test_pixels_are_between_0_and_1(images, expected):
    assert is_of_pixels(torch.tensor(images)) == expected


class Loaders(L.LightningDataModule):
    """A data module whose training loader is given."""

    def __init__(self, loader):
        super().__init__()
        self.loader = loader

    def train_dataloader(self):
        return self.loader


@pytest.mark.parametrize("loader", [None, [], ()])
def test_an_empty_loader_is_none(loader):
    assert find_loader(Loaders(loader), "train") is None
    assert find_loader(Loaders(loader), "val") is None  # the hook of Lightning


def test_one_loader_in_a_list_is_the_loader():
    loader = DataLoader(pictures(4, 0), 2)
    assert find_loader(Loaders([loader]), "train") is loader


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        ({"a": [1], "b": [2]}, "data: train_dataloader of Loaders returns 2 loaders; return one"),
        (DataLoader(pictures(2, 0), 4, drop_last=True), "has no batches; add images or set"),
        (iter([1]), "has no length, which the schedule needs"),
    ],
    ids=["mapping", "empty", "iterator"],
)
def test_other_loaders_are_one_line(loader, message):
    with pytest.raises(InputError, match=message):
        find_loader(Loaders(loader), "train")

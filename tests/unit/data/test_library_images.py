"""Sources of other libraries: held-out test images, caches and positions."""

import numpy as np
import pytest
import torch

from vgg_lit.data.library_images import LibraryImages, Part, Positions
from vgg_lit.data.sources import ResidentImages, Source
from vgg_lit.errors import InputError


class Grey:
    """Images of one level each: that of their position."""

    def __init__(self, count):
        self.count, self.read = count, 0

    def __len__(self):
        return self.count

    def __getitem__(self, position):
        self.read += 1
        return np.full((4, 4), position, np.uint8)


class Library(LibraryImages):
    """Splits of the given sizes, with labels 0, 1, 0, 1, ..."""

    name = "library"
    classes = ("a", "b")

    def __init__(self, sizes, **options):
        super().__init__(**{"in_channels": 1, "size": 4, "num_workers": 0, **options})
        self.sizes, self.opened = sizes, 0
        self.records = {split: Grey(count) for split, count in sizes.items()}

    def _open(self):
        self.opened += 1
        return {
            split: Part(self.records[split], torch.arange(count) % 2, str(count))
            for split, count in self.sizes.items()
        }


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path))


def levels(images):
    assert isinstance(images, ResidentImages)
    return images.images_NCHW[:, 0, 0, 0].tolist()


def test_test_images_are_held_out_once_in_shares_of_the_classes():
    source = Library({"train": 20, "val": 4}, test_fraction=0.3)
    assert isinstance(source, Source)
    train, test = source.load("train"), source.load("test")
    assert sorted(levels(train) + levels(test)) == list(range(20))
    assert torch.bincount(test.labels_N).tolist() == [3, 3]
    assert [level % 2 for level in levels(test)] == test.labels_N.tolist()
    assert levels(Library({"train": 20}, test_fraction=0.3).load("test")) == levels(test)
    assert source.has_validation
    assert levels(source.load("val")) == [0, 1, 2, 3]
    assert source.opened == 1


def test_a_test_split_of_the_library_is_used():
    source = Library({"train": 3, "test": 2}, test_fraction=0.3)
    assert (levels(source.load("train")), levels(source.load("test"))) == ([0, 1, 2], [0, 1])
    assert not source.has_validation


def test_prepared_images_are_not_decoded_again():
    source = Library({"train": 3, "test": 2})
    source.prepare()
    assert (source.records["train"].read, source.records["test"].read) == (3, 2)
    again = Library({"train": 3, "test": 2})
    assert levels(again.load("train")) == [0, 1, 2]
    assert again.records["train"].read == 0


@pytest.mark.parametrize("option", [{"size": 5}, {"in_channels": 3}, {"fit": "pad"}])
def test_other_settings_are_decoded_again(option):
    Library({"train": 3, "test": 2}).prepare()
    other = Library({"train": 3, "test": 2}, **option)
    other.prepare()
    assert other.records["train"].read == 3


def test_streamed_images_are_those_in_memory():
    source = Library({"train": 3, "test": 2}, in_memory=False)
    source.prepare()
    (batch,) = source.load("train").loader([[2, 0]])
    assert batch[:, 0, 0, 0].tolist() == [2, 0]
    assert source.load_whole("test").fit == "whole"


@pytest.mark.parametrize(("count", "fraction"), [(1, 0.5), (10, 0.04), (10, 0.96), (0, 0.5)])
def test_a_share_that_leaves_a_split_empty_is_refused(count, fraction):
    with pytest.raises(InputError, match=rf"^test_fraction={fraction}: \d+ of {count} images"):
        Library({"train": count}, test_fraction=fraction).load("test")


def test_unlabelled_images_are_refused():
    class Unlabelled(Library):
        def _open(self):
            return {"train": Part(Grey(4), torch.tensor([0, -1, 1, 1]), "")}

    with pytest.raises(InputError, match="library: has labels below 0"):
        Unlabelled({"train": 4}, test_fraction=0.5).load("train")


def test_positions_are_in_the_order_of_the_subset():
    positions = Positions(["a", "b", "c"], [2, 0])
    assert len(positions) == 2
    assert [positions[0], positions[1]] == ["c", "a"]
    with pytest.raises(IndexError):
        positions[2]

"""The split that is asked for, checked before any image is read."""

from types import SimpleNamespace

import pytest

from vgg_lit.errors import InputError
from vgg_lit.evaluation.data_choice import check_validation_split, choose_split

FILES = SimpleNamespace(present_images=dict)
ARRAYS = SimpleNamespace()


@pytest.mark.parametrize(
    ("asked", "source", "is_own", "split"),
    [
        (None, FILES, False, "all"),
        (None, FILES, True, "test"),
        (None, ARRAYS, False, "test"),
        (None, None, False, "test"),
        ("all", FILES, False, "all"),
        ("val", FILES, False, "val"),
        ("test", FILES, False, "test"),
    ],
)
def test_all_images_of_another_folder_and_else_the_test_split(asked, source, is_own, split):
    assert choose_split(asked, source, is_own) == split


@pytest.mark.parametrize(("source", "is_own"), [(FILES, True), (ARRAYS, False), (None, False)])
def test_all_images_of_other_data_are_refused(source, is_own):
    with pytest.raises(InputError, match=r"^split=all: goes with another folder"):
        choose_split("all", source, is_own)


def group(target, val_fraction=0.1, **options):
    return {
        "source": {"_target_": f"vgg_lit.data.{target}"},
        "val_fraction": val_fraction,
        **options,
    }


class Network:
    """A trained network whose validation split differs from others if its seed does."""

    def __init__(self, data):
        self.run = SimpleNamespace(config={"data": data}, path="logs/x")

    def check_validation(self, data, is_official):
        if not is_official and self.run.config["data"].get("seed") != data.get("seed"):
            raise InputError("another seed")


def check(networks, data, source=ARRAYS, is_own_data=False):
    check_validation_split([Network(own) for own in networks], data, source, is_own_data)


def test_a_split_is_needed():
    with pytest.raises(InputError, match=r"data\.val_fraction=0 leaves no validation split"):
        check([], group("FashionMNIST", 0))
    check([], group("FashionMNIST", 0, folds=5))
    check([], {"_target_": "mine.Data"}, None)


def test_the_same_set_needs_the_same_split():
    mnist = group("MNIST", seed=1)
    check([mnist], group("MNIST", seed=1))
    with pytest.raises(InputError, match="another seed"):
        check([mnist], group("MNIST", seed=2))
    check([mnist], group("KMNIST", seed=2))  # other images
    check([mnist], group("MNIST", seed=2), FILES)  # compared one by one later


def test_an_official_validation_split_is_the_same_for_all_seeds():
    official = SimpleNamespace(has_validation=True)
    check([group("NpzImages", seed=1)], group("NpzImages", seed=2), official)
    pair = [group("NpzImages", seed=1), group("NpzImages", seed=2)]
    check(pair, pair[0], official, is_own_data=True)


def test_the_sample_is_a_part_of_its_set():
    message = r"^split=val: run=logs/x was trained on images of this data set; allowed: test$"
    for own, other in (
        ("FashionMNISTSample", "FashionMNIST"),
        ("FashionMNIST", "FashionMNISTSample"),
    ):
        with pytest.raises(InputError, match=message):
            check([group(own)], group(other))


def test_other_networks_are_compared_with_the_first():
    own = group("MNIST", seed=1)
    check([group("MNIST", seed=9), own], own, is_own_data=True)  # the first gives the data
    with pytest.raises(InputError, match="another seed"):
        check([own, group("MNIST", seed=2)], own, is_own_data=True)
    with pytest.raises(InputError, match="was trained on images of this data set"):
        check([own, group("CIFAR10", seed=1)], own, is_own_data=True)

from dataclasses import dataclass, field

import pytest
import torch

from vgg_lit.data.sources import ResidentImages, load_checked
from vgg_lit.errors import InputError


@dataclass
class Own:
    """A custom data set."""

    images: torch.Tensor = field(default_factory=lambda: torch.zeros(4, 3, 8, 8, dtype=torch.uint8))
    labels: tuple[int, ...] = (0, 1, 1, 0)
    name = "own"
    in_channels = 3
    classes = ("bee", "cow")

    def prepare(self):
        pass

    def load(self, split):
        return ResidentImages(self.images, torch.tensor(self.labels, dtype=torch.int64))


def test_a_consistent_source_is_accepted():
    assert len(load_checked(Own(), "train").labels_N) == 4


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (
            Own(labels=(0, 1, 2, 0)),
            "own: test labels are 0 to 2; allowed for its 2 classes: 0 to 1",
        ),
        (Own(labels=(0, 1, -1, 0)), "labels are -1 to 1"),
        (Own(torch.zeros(4, 1, 8, 8, dtype=torch.uint8)), "images have 1 channels, not 3"),
        (Own(torch.zeros(0, 3, 8, 8, dtype=torch.uint8), ()), "no test images"),
    ],
)
def test_an_inconsistent_source_is_refused(own, words):
    with pytest.raises(InputError, match=words):
        load_checked(own, "test")


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (torch.zeros(4, 3, 8, 8), torch.zeros(4).long(), "images of torch.float32"),
        (torch.zeros(4, 3, 8, 9).byte(), torch.zeros(4).long(), r"\(4, 3, 8, 9\)"),
        (torch.zeros(4, 8, 8).byte(), torch.zeros(4).long(), r"\(4, 8, 8\)"),
        (torch.zeros(4, 3, 8, 8).byte(), torch.zeros(3).long(), "one per image"),
        (torch.zeros(4, 3, 8, 8).byte(), torch.zeros(4), "labels of torch.float32"),
    ],
)
def test_resident_images_are_square_uint8_with_one_label_each(images, labels, words):
    with pytest.raises(ValueError, match=words):
        ResidentImages(images, labels)

"""The first training images as network input, without augmentation."""

import pytest
import torch
from custom_modules import adapted
from numbered_images import make

from vgg_lit.data.augment import FlipCrop
from vgg_lit.data.unaugmented import training_inputs


@pytest.mark.parametrize("count", [1, 16, 20, 1000])
def test_the_first_images_are_normalised_and_not_augmented(count):
    data = make(stage="fit", val_fraction=0.2, augment=FlipCrop(), batch_size=16)
    inputs = list(training_inputs(data, count))
    images, ids = data.stored("train")
    expected = images.images_NCHW[ids[:count]]
    assert torch.equal(torch.cat(inputs), data.preprocessing(expected))
    assert all(len(x) <= 16 for x in inputs)


def test_a_data_module_of_the_user_gives_its_own_images():
    data = adapted("pixels")
    inputs = list(training_inputs(data, 10))
    assert sum(len(x) for x in inputs) >= 10
    assert inputs[0].dtype == torch.float32
    assert inputs[0].shape[1:] == (3, 16, 16)

"""A network with its preprocessing, and the description of its program."""

import json

import pytest
import torch
from torch import nn

from vgg_lit.data import Preprocessing
from vgg_lit.errors import InputError
from vgg_lit.exporting.model import Description
from vgg_lit.exporting.programs import PixelClassifier, describe_network, to_program
from vgg_lit.models import build

# (source, network) sides: padded evenly, padded by an odd pixel, equal, enlarged, reduced
SIDES = [(28, 32), (29, 32), (32, 32), (28, 64), (100, 32)]


def preprocessing(source_size, image_size, channels=3):
    mean, std = (0.4, 0.5, 0.6)[:channels], (0.2, 0.25, 0.3)[:channels]
    return Preprocessing(channels, source_size, image_size, mean, std)


def noise(count, channels, side):
    draws = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, side, side), generator=draws, dtype=torch.uint8)


@pytest.mark.parametrize("sides", SIDES)
def test_pixels_are_preprocessed_as_in_training(sides):
    prepare = preprocessing(*sides)
    images = noise(3, 3, sides[0])
    found = PixelClassifier(nn.Identity(), prepare)(images)
    assert found.shape == (3, 3, sides[1], sides[1])
    torch.testing.assert_close(found, prepare(images), rtol=0, atol=1e-5)


def test_softmax_is_optional():
    prepare = preprocessing(28, 32, channels=1)
    net = build("vgg11", num_classes=4, in_channels=1, width=1 / 32, head="linear")
    images = noise(2, 1, 28)
    logits = PixelClassifier(net, prepare)(images)
    probabilities = PixelClassifier(net, prepare, softmax=True)(images)
    torch.testing.assert_close(probabilities, logits.softmax(1))


HYPERPARAMETERS = {"classes": ["a", "b"], "model": {"_target_": "vgg_lit.models.build"}}


def test_a_description_survives_a_json_round_trip():
    description = describe_network(HYPERPARAMETERS, preprocessing(28, 32), softmax=True)
    assert Description.from_json(description.to_json()) == description
    content = json.loads(description.to_json())
    assert content["input"]["shape"] == ["batch", 3, 28, 28]
    assert content["output"] == {
        "name": "probabilities",
        "dtype": "float32",
        "shape": ["batch", 2],
    }
    assert content["preprocessing"]["zeros_left_right_above_below"] == [2, 2, 2, 2]
    assert content["preprocessing"]["resize_to"] is None
    assert content["preprocessing"]["subtract_mean"] == [0.4, 0.5, 0.6]


class DataDependent(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :2] if x.sum() > 0 else x.flatten(1)[:, 2:4]


def test_a_network_that_cannot_be_traced_is_one_line():
    prepare = preprocessing(28, 32)
    description = describe_network(HYPERPARAMETERS, prepare, softmax=False)
    with pytest.raises(InputError, match="cannot trace DataDependent") as refused:
        to_program(PixelClassifier(DataDependent(), prepare), description)
    assert "\n" not in str(refused.value)

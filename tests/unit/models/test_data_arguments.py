"""The arguments that a network takes from the data."""

import pytest

from vgg_lit.errors import ConfigError
from vgg_lit.models.data_arguments import (
    DataShape,
    check_agreement_with_data,
    with_data_arguments,
)

SHAPE = DataShape(10, in_channels=1, image_size=28)


@pytest.mark.parametrize(
    ("spec", "added"),
    [
        ({"_target_": "torch.nn.Flatten"}, {}),
        (
            {"_target_": "vgg_lit.models.resnet18"},
            {"num_classes": 10, "in_channels": 1, "image_size": 28},
        ),
        (
            {"_target_": "vgg_lit.models.resnet18", "in_channels": 3, "num_classes": None},
            {"num_classes": 10, "image_size": 28},
        ),
        ({"_target_": "torchvision.models.resnet18"}, {"num_classes": 10}),
        (
            {"_target_": "torchvision.models.VisionTransformer"},
            {"num_classes": 10, "image_size": 28},
        ),
    ],
)
def test_only_arguments_of_the_signature_are_added(spec, added):
    assert with_data_arguments(spec, SHAPE) == {**spec, **added}


def test_unknown_properties_have_stand_ins_only_if_asked():
    spec = {"_target_": "vgg_lit.models.resnet18"}
    unknown = DataShape.of({"num_classes": None, "in_channels": 3}, num_classes=7)
    assert with_data_arguments(spec, unknown) == {**spec, "num_classes": 7, "in_channels": 3}
    assert with_data_arguments(spec, unknown, has_stand_ins=True)["image_size"] == 32


def test_another_number_of_channels_is_one_line():
    spec = {"_target_": "vgg_lit.models.resnet18", "in_channels": 3}
    with pytest.raises(
        ConfigError, match=r"^model\.in_channels=3: the data have 1 channels; remove"
    ):
        check_agreement_with_data(spec, SHAPE)


def test_another_number_of_classes_is_one_line():
    spec = {"_target_": "vgg_lit.models.resnet18", "num_classes": 3}
    with pytest.raises(
        ConfigError, match=r"^model\.num_classes=3: the data have 10 classes; remove"
    ):
        check_agreement_with_data(spec, SHAPE)
    check_agreement_with_data({**spec, "num_classes": 10}, SHAPE)

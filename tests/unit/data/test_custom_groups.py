"""`data` groups that name a data module of the user."""

import pytest

from vgg_lit.data.custom_groups import is_custom


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ({"_target_": "my_package.MyData"}, True),
        ({"_target_": "vgg_lit_extras.MyData"}, True),  # only begins like ours
        ({"_target_": "vgg_lit.ImageDataModule", "source": {}}, False),
        ({"_target_": "vgg_lit.ImageDataModule"}, False),
        ({"_target_": "my_package.Wrapper", "source": {}}, False),
        ({"_target_": "my_package.Wrapper", "source": None}, False),
    ],
)
def test_a_class_of_the_user_without_a_source(group, expected):
    assert is_custom(group) == expected

"""The layers and the image of figures are checked before anything is loaded."""

import pytest
from PIL import Image

from vgg_lit.config.schema import Visualize
from vgg_lit.errors import InputError
from vgg_lit.evaluation.trained import find_trained
from vgg_lit.reports.choice_checks import check_layers_and_image


@pytest.fixture
def trained(tiny_run):
    return find_trained([tiny_run], "best")[0]


def choice(layers=(), image=None):
    return Visualize.model_construct(layers=list(layers), image=image)


def test_layers_and_images_that_are_there_are_accepted(trained, tmp_path):
    Image.new("L", (28, 28)).save(tmp_path / "shoe.png")
    check_layers_and_image(choice(["block1_conv1"], str(tmp_path / "shoe.png")), trained)
    check_layers_and_image(choice(), trained)


def test_an_unknown_layer_is_refused(trained):
    with pytest.raises(InputError, match="block9_conv1"):
        check_layers_and_image(choice(["block9_conv1"]), trained)


def test_an_image_that_cannot_be_read_is_refused(trained, tmp_path):
    (tmp_path / "shoe.png").write_text("no image")
    with pytest.raises(InputError, match=r"shoe\.png"):
        check_layers_and_image(choice(image=str(tmp_path / "shoe.png")), trained)

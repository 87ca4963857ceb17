"""Figures of a network: activation maps, receptive fields and embeddings."""

from dataclasses import replace

import pytest

from vgg_lit.errors import InputError
from vgg_lit.reports.network_pictures import attributions, embeddings, maps, receptive_field


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_activations_default_to_the_first_convolutions(inspection, choice):
    (picture,) = maps(inspection, choice)
    named = [text for text in texts(picture.figure) if "_conv" in text]
    assert [text.split("\n")[0] for text in named] == [f"block{n}_conv1" for n in range(1, 6)]
    (picture,) = maps(inspection, replace(choice, layers=["block2_pool"]))
    assert [text.split("\n")[0] for text in texts(picture.figure) if "block" in text] == [
        "block2_pool"
    ]


def test_a_layer_without_maps_raises(inspection, choice):
    with pytest.raises(InputError, match="fc6 has no maps"):
        list(maps(inspection, replace(choice, layers=["block1_conv1", "fc6"])))


def test_a_field_is_centred_on_the_middle_unit(inspection, choice):
    named = replace(choice, layers=["block1_conv1", "block2_pool"])
    (picture,) = receptive_field(inspection, named)
    squares = [axes.patches[0].get_bbox() for axes in picture.figure.axes]
    assert [square.width for square in squares] == [3, 16]
    assert squares[0].x0 + 1.5 == 16.5  # the middle of pixel 16
    assert squares[1].x0 + 8 == 18  # the unit that covers pixels 16 to 19


@pytest.mark.parametrize("layer", ["fc6", "head_pool"])
def test_a_layer_outside_the_blocks_has_no_field(layer, inspection, choice):
    with pytest.raises(InputError, match="only layers of blocks"):
        list(receptive_field(inspection, replace(choice, layers=[layer])))


def test_attributions_need_a_layer_with_maps(inspection, choice):
    pytest.importorskip("captum")
    with pytest.raises(InputError, match="fc6 has no maps"):
        list(attributions(inspection, replace(choice, layers=["fc6"])))


def test_too_few_images_for_embeddings_raise(inspection, choice):
    pytest.importorskip("sklearn")
    with pytest.raises(InputError, match="at least 4 images"):
        list(embeddings(inspection, replace(choice, embeddings=3)))

"""Each picture shows what it says, of the run that it is drawn of."""

from dataclasses import replace

import pytest

from vgg_lit.analysis.errors import confused_pairs, confusion_matrix
from vgg_lit.errors import InputError
from vgg_lit.trained.network import find_trained
from vgg_lit.visualizing import pictures
from vgg_lit.visualizing.inspection import Inspection
from vgg_lit.visualizing.pictures import DRAWN, Choice

CHOICE = Choice(images=6, image=None, layers=None, embeddings=20)


@pytest.fixture(scope="module")
def inspection(tiny_run):
    return Inspection(find_trained([str(tiny_run.path)], "best")[0], accelerator="cpu")


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.mark.parametrize("name", ["filters", "calibration", "classes", "augmentation", "history"])
def test_a_picture_has_a_title_a_text_and_a_name_for_its_file(name, inspection):
    (picture,) = DRAWN[name](inspection, CHOICE)
    assert picture.name == name
    assert picture.title
    assert all(picture.text)
    assert picture.figure.axes


def test_the_pairs_are_those_confused_most(inspection):
    (picture,) = pictures.pairs(inspection, CHOICE)
    matrix = confusion_matrix(inspection.predictions)
    expected = [
        f"{inspection.classes[true]}\ntaken for {inspection.classes[taken]}\n"
        f"{count} of {int(matrix[true].sum())}"
        for true, taken, count in confused_pairs(matrix, pictures.PAIRS)
    ]
    assert [text for text in texts(picture.figure) if "taken for" in text] == expected


def test_calibration_says_on_which_side_confidence_lies(inspection):
    found = inspection.predictions
    (picture,) = pictures.reliability(inspection, CHOICE)
    gap = 100 * float(found.confidence_N.mean() - found.is_right_N.float().mean())
    side = "over" if gap > 0 else "under"
    assert f"{abs(gap):.1f} points {side} accuracy" in picture.text[0]


def test_activations_are_of_the_first_convolutions_unless_layers_are_named(inspection):
    (picture,) = pictures.maps(inspection, CHOICE)
    named = [text for text in texts(picture.figure) if "_conv" in text]
    assert [text.split("\n")[0] for text in named] == [f"block{n}_conv1" for n in range(1, 6)]
    (picture,) = pictures.maps(inspection, replace(CHOICE, layers=["block2_pool"]))
    assert [text.split("\n")[0] for text in texts(picture.figure) if "block" in text] == [
        "block2_pool"
    ]


def test_a_layer_without_maps_is_refused(inspection):
    with pytest.raises(InputError, match="fc6 has no maps"):
        list(pictures.maps(inspection, replace(CHOICE, layers=["block1_conv1", "fc6"])))


def test_a_field_stands_where_a_unit_of_the_middle_looks(inspection):
    choice = replace(CHOICE, layers=["block1_conv1", "block2_pool"])
    (picture,) = pictures.receptive_field(inspection, choice)
    squares = [axes.patches[0].get_bbox() for axes in picture.figure.axes]
    assert [square.width for square in squares] == [3, 16]
    assert squares[0].x0 + 1.5 == 16.5  # the middle of pixel 16
    assert squares[1].x0 + 8 == 18  # of the unit that has pixels 16 to 19


def test_too_few_images_have_no_embedding(inspection):
    pytest.importorskip("sklearn")
    with pytest.raises(InputError, match="at least 4 images"):
        list(pictures.embeddings(inspection, replace(CHOICE, embeddings=3)))


def test_what_needs_an_extra_says_which(monkeypatch):
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    assert "needs captum: pip install 'vgg_lit[visualize]'" in pictures.missing_extra(
        "attributions"
    )
    assert "needs sklearn" in pictures.missing_extra("embeddings")
    assert pictures.missing_extra("filters") is None

"""Every picture has what a report needs, and says which extra it lacks."""

import pytest

from vgg_lit.visualizing import catalogue


@pytest.mark.parametrize("name", ["filters", "calibration", "classes", "augmentation", "history"])
def test_a_picture_has_a_title_a_text_and_a_name_for_its_file(name, inspection, choice):
    (picture,) = catalogue.DRAWN[name](inspection, choice)
    assert picture.name == name
    assert picture.title
    assert picture.text
    assert all(picture.text)
    assert picture.figure.axes


def test_what_needs_an_extra_says_which(monkeypatch):
    monkeypatch.setattr(catalogue, "find_spec", lambda name: None)
    assert "needs captum: pip install 'vgg_lit[visualize]'" in catalogue.missing_extra(
        "attributions"
    )
    assert "needs sklearn" in catalogue.missing_extra("embeddings")
    assert catalogue.missing_extra("filters") is None

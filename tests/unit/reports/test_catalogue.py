"""Figures have the parts of a report section; missing extras are reported."""

import pytest

from vgg_lit.reports import catalogue


@pytest.mark.parametrize("name", ["filters", "calibration", "classes", "augmentation", "history"])
def test_a_picture_has_a_name_a_title_and_a_text(name, inspection, choice):
    (picture,) = catalogue.DRAWN[name](inspection, choice)
    assert picture.name == name
    assert picture.title
    assert picture.text
    assert all(picture.text)
    assert picture.figure.axes


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr(catalogue, "find_spec", lambda name: None)
    assert 'needs captum: pip install "vgg_lit[visualize]"' in catalogue.missing_extra(
        "attributions"
    )
    assert "needs sklearn" in catalogue.missing_extra("embeddings")
    assert catalogue.missing_extra("filters") is None

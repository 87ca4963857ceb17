"""A figure with its text, and the options of figures."""

from dataclasses import FrozenInstanceError

import pytest
from matplotlib.figure import Figure

from vgg_lit.reports.picture import Choice, Picture
from vgg_lit.system.pages import PageSection, html_page


def test_a_picture_is_a_section_of_a_page(tmp_path):
    picture = Picture("x", "Title", ["Text."], Figure(), [{"a": "1"}])
    picture.figure.savefig(tmp_path / f"{picture.name}.png")
    section = PageSection(picture.title, picture.text, tmp_path / "x.png", picture.table)
    page = html_page("Page", [section])
    for part in ("Title", "Text.", "data:image/png", "<td"):
        assert part in page


def test_a_picture_without_a_table_has_no_rows():
    assert not Picture("x", "Title", [], Figure()).table


def test_options_are_the_same_for_all_figures(choice):
    assert choice == Choice(images=6, image=None, layers=None, embeddings=20)
    with pytest.raises(FrozenInstanceError):
        choice.images = 7

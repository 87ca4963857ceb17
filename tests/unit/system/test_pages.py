"""The page of a report: one file, without scripts or external resources."""

import base64
import re

from vgg_lit.system.pages import PageSection, html_page

PNG = b"\x89PNG not really"


def test_figures_are_embedded_in_the_page(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    page = html_page("a run", [PageSection("Picture", ["what it shows"], tmp_path / "a.png")])
    (data,) = re.findall(r'<img alt="Picture" src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(data) == PNG
    assert "<p>what it shows</p>" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)


def test_every_section_is_linked_from_the_top():
    page = html_page("a run", [PageSection("One"), PageSection("Two")])
    assert re.findall(r'<a href="#(\d)">(\w+)</a>', page) == [("0", "One"), ("1", "Two")]
    assert re.findall(r'<section id="(\d)">', page) == ["0", "1"]


def test_tables_have_headers_and_cells():
    page = html_page(
        "a run",
        [PageSection("Numbers", table=[{"class": "cat", "F1": "0.5"}, {"class": "8", "F1": "1"}])],
    )
    assert '<th class="text">class</th><th class="number">F1</th>' in page
    assert '<td class="text">cat</td><td class="number">0.5</td>' in page
    assert '<td class="text">8</td><td class="number">1</td>' in page


def test_text_is_escaped():
    evil = "<script>alert(1)</script>"
    sections = [PageSection(evil, [evil], table=[{evil: evil}])]
    assert "<script>" not in html_page(evil, sections)


def test_a_table_is_below_the_picture_and_its_text(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    section = PageSection("Picture", ["what it shows"], tmp_path / "a.png", [{"a": "1"}])
    page = html_page("a run", [section])
    assert page.index("<img") < page.index("<p>") < page.index("<table>")

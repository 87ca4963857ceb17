"""The page of a comparison: a sortable table and a figure."""

import base64
import re
import shutil
import subprocess

import pytest

from vgg_lit.reports.comparison_page import comparison_page
from vgg_lit.reports.comparison_tables import ComparisonTable


def page_of(title, rows, texts, figure_png, remarks=()):
    return comparison_page(title, [ComparisonTable(title, texts, rows, rows, remarks)], figure_png)


def test_the_figure_is_embedded_in_the_page():
    page = page_of("t", [{"run": "a"}], [{"run": "a"}], b"a picture")
    (data,) = re.findall(r'<img alt="[^"]+" src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(data) == b"a picture"


def test_text_is_escaped():
    evil = '"><script>alert(1)</script>'
    page = page_of(evil, [{evil: evil}], [{evil: evil}], None, [evil])
    assert "<script>alert" not in page
    assert 'data-value="&quot;&gt;' in page


def test_cells_contain_their_sort_values():
    rows = [{"run": "a", "acc": 0.5, "on": True}, {"run": "b", "acc": None, "on": False}]
    texts = [{"run": "a", "acc": "50 %", "on": "True"}, {"run": "b", "acc": "", "on": "False"}]
    page = page_of("t", rows, texts, None)
    assert '<td class="number" data-value="0.5">50 %</td>' in page
    assert '<td data-value=""></td>' in page
    assert '<td data-value="True">True</td>' in page
    assert "<img" not in page


def test_each_table_has_a_heading_and_remarks():
    one = ComparisonTable("One", [{"a": "1"}], [{"a": 1}], [], ["a < b"])
    two = ComparisonTable("Two", [{"b": "2"}], [{"b": 2}], [])
    page = comparison_page("t", [one, two], None)
    assert re.findall("<h2>(.*)</h2>", page) == ["One", "Two"]
    assert page.count("<table>") == 2
    assert "a &lt; b" in page


def test_a_click_on_a_header_sorts_the_table(tmp_path):
    """Sorts numerically; the second click reverses the order; missing values stay last."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("needs a browser: chromium or google-chrome")
    accuracies = {"a": 0.5, "b": None, "c": 0.1, "d": 10.0}
    rows = [{"run": name, "acc": value} for name, value in accuracies.items()]
    texts = [{column: str(value or "") for column, value in row.items()} for row in rows]
    found = []
    for clicks in (1, 2):
        page = tmp_path / f"{clicks}.html"
        click = f"<script>{'document.querySelectorAll(`th`)[1].click();' * clicks}</script></body>"
        page.write_text(page_of("t", rows, texts, None).replace("</body>", click))
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()]
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        done = subprocess.run(
            [browser, profile, *arguments], capture_output=True, text=True, timeout=120
        )
        found.append("".join(re.findall(r'<td data-value="([a-d])"', done.stdout)))
    assert found == ["cadb", "dacb"]

"""The page of a study: the result, the figures that are there, the trials and the reasons of failed ones."""

import re

import pytest

from vgg_lit.tuning.study_page import TITLES, study_page

ROWS = [{"trial": "0", "val/acc": "70.00 %"}, {"trial": "1", "val/acc": ""}]


@pytest.mark.parametrize("figures", [[], ["history.png"], ["history.png", "importance.png"]])
@pytest.mark.parametrize("reasons", [{}, {1: "out of <luck>"}])
def test_the_page_has_a_section_for_everything_that_is_there(figures, reasons, tmp_path):
    for name in figures:
        (tmp_path / name).write_bytes(b"a figure")
    page = study_page(tmp_path, {"best": "trial 0"}, figures, ROWS, reasons)
    titles = [TITLES[name] for name in figures]
    last = ["Failed trials"] if reasons else []
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["Result", *titles, "Trials", *last]
    assert page.count("data:image/png") == len(figures)
    assert ">trial 0</td>" in page
    assert ">70.00 %</td>" in page
    assert ("out of &lt;luck&gt;" in page) == bool(reasons)

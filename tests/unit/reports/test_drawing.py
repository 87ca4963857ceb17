"""The figures that a command asks for: their order, the reasons for missing ones, and the errors."""

import pytest

from vgg_lit.config.checks import check_section, to_plain
from vgg_lit.config.schema import Visualize
from vgg_lit.errors import InputError
from vgg_lit.reports import catalogue, drawing
from vgg_lit.reports.drawing import Drawing


@pytest.fixture
def draw(trained, compose):
    """`draw("images=3")`: the figures of the tiny run with these settings."""

    def draw(*overrides):
        words = (f"run={trained.run.path}", "accelerator=cpu", "embeddings=20", *overrides)
        settings = check_section(to_plain(compose(*words, verb="visualize")), Visualize)
        return Drawing(trained, settings, trained.run.config["data"])

    return draw


def test_figures_are_in_the_order_of_the_report(draw):
    wanted = draw("figures=[filters,confusion]")
    assert wanted.names == ["confusion", "filters"]
    assert [picture.name for picture in wanted.pictures(wanted.names)] == ["confusion", "filters"]
    assert wanted.left_out == {}


def test_all_figures_but_those_of_missing_packages_are_drawn(draw, monkeypatch):
    monkeypatch.setattr(catalogue, "find_spec", lambda name: None)
    wanted = draw()
    assert set(wanted.left_out) == {"attributions", "embeddings"}
    assert "needs captum" in wanted.left_out["attributions"]
    assert [*wanted.names, *wanted.left_out] != list(catalogue.DRAWN)
    assert {*wanted.names, *wanted.left_out} == set(catalogue.DRAWN)


def test_a_figure_that_was_asked_for_and_needs_a_package_is_an_error(draw, monkeypatch):
    monkeypatch.setattr(catalogue, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^figures: attributions needs captum"):
        draw("figures=[confusion,attributions]")


@pytest.mark.parametrize("is_asked", [True, False])
def test_a_figure_without_data_is_an_error_only_if_it_was_asked_for(draw, monkeypatch, is_asked):
    def refuse(inspection, choice):
        raise InputError("no epoch has ended")
        yield

    monkeypatch.setitem(drawing.DRAWN, "history", refuse)
    wanted = draw("figures=[history]") if is_asked else draw()
    if is_asked:
        with pytest.raises(InputError, match=r"^figures: history: no epoch has ended$"):
            list(wanted.pictures(["history"]))
    else:
        assert [picture.name for picture in wanted.pictures(["history", "confusion"])] == [
            "confusion"
        ]
        assert wanted.left_out["history"] == "no epoch has ended"


def test_the_facts_name_checkpoint_data_and_precision(draw, trained):
    wanted = draw("figures=[confusion]", "precision=32-true")
    assert wanted.facts["checkpoint"] == str(trained.checkpoint)
    assert wanted.facts["precision"].startswith("32-true (")
    assert "40" in wanted.facts["data"]


def test_a_split_of_the_run_is_predicted(draw):
    assert draw("figures=[confusion]", "split=val").inspection.split == "val"

"""The report of a run: its tables, its figures and what is left out."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from vgg_lit.analysis.errors import Predictions
from vgg_lit.errors import InputError
from vgg_lit.reports import drawing
from vgg_lit.reports.drawing import Drawing
from vgg_lit.reports.picture import Picture
from vgg_lit.reports.run_report import picture_sections, summary_sections, write_report
from vgg_lit.system.pages import PageSection

PROBABILITIES = torch.tensor([[0.9, 0.1], [0.2, 0.8], [1.0, 0.0], [0.6, 0.4]])


def inspection(path=Path("logs/run"), lines=(), metrics=None, labels=(0, 1, 0, 1)):
    return SimpleNamespace(
        run=SimpleNamespace(
            path=path,
            config={"model": {"_target_": "x.Net"}},
            overrides=SimpleNamespace(lines=list(lines)),
            metrics=metrics or {},
        ),
        predictions=Predictions(PROBABILITIES, torch.tensor(labels)),
        checkpoint=Path("x/best.ckpt"),
        datamodule=SimpleNamespace(source=SimpleNamespace(name="pets")),
        split="val",
        net=nn.Linear(3, 2),
        classes=("cat", "dog"),
    )


def test_the_summary_has_the_scores_of_the_predictions():
    summary, classes = summary_sections(inspection())
    facts = {row["quantity"]: row["value"] for row in summary.table}
    assert facts["settings"] == "the defaults"
    assert facts["data"] == "pets, 4 val images"
    assert facts["network"] == "Net, 8 parameters"
    assert facts["val/acc"].startswith("75.00")
    expected = -(torch.tensor([0.9, 0.8, 1.0, 0.4]).log().mean())
    assert facts["val/loss"] == f"{float(expected):.4f}"
    assert "training" not in facts
    cat, dog = classes.table
    assert (cat["class"], cat["images"], cat["accuracy (recall)"]) == ("cat", "2", "100.0 %")
    assert (dog["accuracy (recall)"], dog["precision"]) == ("50.0 %", "100.0 %")


def test_the_summary_has_the_settings_and_the_time():
    found = inspection(lines=["seed=1", "model=vgg11"], metrics={"seconds": 12.4})
    facts = {row["quantity"]: row["value"] for row in summary_sections(found)[0].table}
    assert facts["settings"] == "seed=1, model=vgg11"
    assert facts["training"] == "12 s"


def test_an_impossible_class_has_a_finite_loss():
    found = inspection(labels=(0, 1, 1, 1))
    facts = {row["quantity"]: row["value"] for row in summary_sections(found)[0].table}
    assert facts["val/loss"] not in ("inf", "nan")
    assert float(facts["val/loss"]) > 20


def drawing_of(path, names, is_asked):
    """Returns a drawing of an inspection, without a trained network."""
    made = object.__new__(Drawing)
    made.inspection, made.choice, made.names = inspection(path), None, names
    made.is_asked, made.left_out = is_asked, {}
    return made


@pytest.fixture
def drawn(monkeypatch):
    """Two figures, of which the second has no data."""

    def good(run, choice):
        yield Picture("good_1", "First", ["Text."], Figure())
        yield Picture("good_2", "Second", [], Figure(), [{"a": "1"}])

    def empty(run, choice):
        raise InputError("the run has no metrics.csv")
        yield

    monkeypatch.setattr(drawing, "DRAWN", {"good": good, "empty": empty})


def test_figures_are_saved_in_each_format_once(drawn, tmp_path):
    made = drawing_of(tmp_path, ["good"], is_asked=True)
    sections = picture_sections(made, ["pdf", "png", "pdf"])
    assert [section.title for section in sections] == ["First", "Second"]
    assert sorted(file.name for file in (tmp_path / "figures").iterdir()) == [
        *("good_1.pdf", "good_1.png", "good_2.pdf", "good_2.png"),
    ]
    assert sections[1].table == [{"a": "1"}]
    assert made.left_out == {}


def test_a_figure_without_data_is_left_out_unless_it_is_asked_for(drawn, tmp_path):
    made = drawing_of(tmp_path, ["empty", "good"], is_asked=False)
    assert len(picture_sections(made, [])) == 2
    assert made.left_out == {"empty": "the run has no metrics.csv"}
    with pytest.raises(InputError, match=r"^figures: empty: the run has no metrics\.csv$"):
        picture_sections(drawing_of(tmp_path, ["empty"], is_asked=True), [])


def test_the_page_lists_what_is_left_out(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "500")
    write_report(tmp_path, [PageSection("Summary")], {"embeddings": "needs sklearn <x>"})
    page = (tmp_path / "report.html").read_text()
    assert "Left out" in page
    assert "embeddings: needs sklearn &lt;x&gt;" in page
    out = capsys.readouterr().out
    assert "(0 figures)" in out
    assert "embeddings: needs sklearn <x>" in out
    write_report(tmp_path, [PageSection("Summary")], {})
    assert "Left out" not in (tmp_path / "report.html").read_text()

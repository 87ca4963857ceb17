"""Figures have the parts of a report section; missing extras are reported."""

import pytest
from omegaconf import OmegaConf

from vgg_lit.errors import InputError
from vgg_lit.reports import catalogue
from vgg_lit.runs import Run


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


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (None, "has no loss._target_"),
        ({"label_smoothing": 0.1}, "has no loss._target_"),
        ({"_target_": None}, "has no loss._target_"),
        ({"_target_": "x.Y", "label_smoothing": "x"}, "loss.label_smoothing=x: is not a number"),
    ],
)
def test_a_config_with_a_damaged_loss_is_one_line(loss, words, tmp_path):
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml({"loss": loss}))
    with pytest.raises(InputError, match=rf"config\.yaml: {words}$"):
        catalogue._loss(Run(tmp_path))


def test_the_name_and_the_smoothing_of_a_loss(tmp_path):
    (tmp_path / "config.yaml").write_text("loss: {_target_: x.Focal, label_smoothing: 1e-1}")
    assert catalogue._loss(Run(tmp_path)) == ("Focal", 0.1)

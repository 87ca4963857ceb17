"""Metrics of two dimensions, as CSV files and figures."""

import pytest
import torch

from vgg_lit.evaluation import matrices
from vgg_lit.evaluation.matrices import write_matrices
from vgg_lit.tables import read_csv

CLASSES = ("cat", "=dog")


def test_a_confusion_matrix_has_a_row_and_column_per_class_and_a_figure(tmp_path):
    matrix = torch.tensor([[3, 1], [0, 123456789]])
    files = write_matrices(tmp_path, {"confusion": matrix}, CLASSES, "test")
    assert files == [tmp_path / "confusion.csv", tmp_path / "figures/confusion.png"]
    assert all(file.stat().st_size for file in files)
    lines = files[0].read_text().splitlines()
    assert lines[0].startswith(",cat,")
    assert lines[1] == "cat,3,1"
    assert lines[2].endswith(",0,1.234568e+08")


@pytest.mark.parametrize(
    "matrix", [torch.tensor([[0.25, 0.75], [1.0, 0.0]]), torch.tensor([[float("nan"), 0], [0, 1]])]
)
def test_shares_are_not_drawn_as_counts(matrix, tmp_path):
    files = write_matrices(tmp_path, {"shares": matrix}, CLASSES, "val")
    assert [file.name for file in files] == ["shares.csv"]
    assert len(read_csv(files[0])) == 2


def test_other_sides_are_numbered(tmp_path):
    (file,) = write_matrices(tmp_path, {"curve": torch.ones(3, 4)}, CLASSES, "val")
    assert file.read_text().splitlines()[:2] == [",0,1,2,3", "0,1,1,1,1"]


def test_many_classes_are_not_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(matrices, "MAX_DRAWN", 1)
    assert len(write_matrices(tmp_path, {"c": torch.eye(2)}, CLASSES, "val")) == 1
    assert write_matrices(tmp_path, {}, CLASSES, "val") == []

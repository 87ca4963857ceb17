"""The table of predictions fits the terminal, a line an image."""

import csv
import io

import pytest
from rich.cells import cell_len

from vgg_lit.evaluation.prediction import Prediction
from vgg_lit.evaluation.prediction_report import (
    predictions_csv,
    print_differences,
    print_predictions,
)

LIKELIEST = [("Ankle boot", 0.75), ("Sneaker", 0.2), ("Sandal", 0.03), ("Bag", 0.01), ("Coat", 0.0)]


@pytest.fixture
def lines(capsys, monkeypatch):
    """`lines(predictions, width=80)`: the rows of the table below its header."""

    def lines(predictions, width=80):
        monkeypatch.setenv("COLUMNS", str(width))
        print_predictions(predictions)
        printed = capsys.readouterr().out.splitlines()
        assert max(map(cell_len, printed)) <= width
        return [line for line in printed if line.startswith("│")]

    return lines


def test_the_first_images_are_shown_and_the_rest_counted(capsys):
    print_predictions([Prediction(f"{n}.png", LIKELIEST) for n in range(25)], most=20)
    out = capsys.readouterr().out
    assert "19.png" in out
    assert "20.png" not in out
    assert "Ankle boot 75.0 %" in out
    assert "... and 5 more" in out


@pytest.mark.parametrize(
    ("width", "left_out"), [(40, "classes 2 to 5"), (70, "classes 4 to 5"), (80, "class 5")]
)
def test_classes_without_space_are_named_below_the_table(width, left_out, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    print_predictions([Prediction("a.png", LIKELIEST)])
    *table, last = capsys.readouterr().out.splitlines()
    assert last == f"Not shown, for want of space: {left_out}."
    shown = [name for name, _ in LIKELIEST if name in "\n".join(table)]
    first = int(left_out.split()[1])
    assert len(shown) == first - 1


def test_a_table_with_all_classes_ends_without_a_remark(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    print_predictions([Prediction("a.png", LIKELIEST)])
    assert "Not shown" not in capsys.readouterr().out


def test_short_paths_leave_room_for_more_classes(lines):
    (line,) = lines([Prediction("a.png", LIKELIEST)])
    assert "a.png" in line
    assert "Sandal 3.0 %" in line
    (wide,) = lines([Prediction("a.png", LIKELIEST)], width=120)
    assert "Coat 0.0 %" in wide


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("photos/" * 40 + "shoe_17.png", "Bag"),
        ("写真/" * 40 + "shoe_17.png", "Tasche 鞄"),
        ("photos/" * 40 + "shoe_17.png", "a class with a long name " * 9),
        ("p/shoe_17.png", "a class with a long name " * 9),
    ],
)
@pytest.mark.parametrize("is_unlike", [False, True])
@pytest.mark.parametrize("width", [60, 80])
def test_long_names_are_shortened_to_one_line(path, name, is_unlike, width, lines):
    differences = ["mean 83 %, in training 4 to 67 %"] if is_unlike else []
    one = Prediction(path, [(name, 0.9), (name, 0.1)], differences)
    (line,) = lines([one], width)
    assert "shoe_17.png" in line
    assert " %" in line
    assert ("unlike" in line) == is_unlike


@pytest.mark.parametrize("text", ["trusted_targets=[mine]", "a[/b].png", "a:smile:b"])
def test_markup_in_names_is_not_interpreted(text, lines):
    (line,) = lines([Prediction(text, [(text, 1.0)])])
    assert line.count(text) == 2


def test_the_csv_has_the_classes_and_the_differences_of_each_image():
    unlike = Prediction("b.png", LIKELIEST[:1], ["mean 83 %", "bright pixels 50 %"])
    text = predictions_csv([Prediction("a\n.png", LIKELIEST[:1]), unlike])
    first, second = csv.DictReader(io.StringIO(text))
    assert first == {
        "image": "a\\n.png",
        "class1": "Ankle boot",
        "probability1": "0.750000",
        "unlike_training": "",
    }
    assert second["unlike_training"] == "mean 83 %; bright pixels 50 %"


def test_images_beyond_the_table_are_counted_as_unlike(capsys):
    like = Prediction("a.png", LIKELIEST)
    unlike = Prediction("b.png", LIKELIEST, ["mean 83 %"], is_like_inverted=True)
    print_differences([like] * 30, is_inverted=False)
    assert capsys.readouterr().out == ""
    print_differences([like] * 30 + [unlike] * 2, is_inverted=False)
    out = capsys.readouterr().out
    assert "unlike the training images  2 of 32; the first, b.png: mean 83 %" in out
    assert "invert" not in out
    print_differences([like] * 30 + [unlike] * 4, is_inverted=False)
    assert "4 of them would be like training images with invert=true" in capsys.readouterr().out

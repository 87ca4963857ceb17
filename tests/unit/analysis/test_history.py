"""Remarks on over- and underfitting of a run."""

import math

import pytest

from vgg_lit.analysis.history import History, remark


def history(train, val, loss):
    metrics = {"train/acc": train, "val/acc": val, "val/loss": loss}
    return History(range(1, len(train) + 1), metrics)


def said(*arguments, images=1000, **options):
    return " ".join(remark(history(*arguments), images, **options))


def test_history_from_rows_with_an_epoch_without_validation():
    rows = [
        {"epoch": "1", "step": "4", "train/acc": "0.5", "val/acc": ""},
        {"epoch": "2", "step": "8", "train/acc": "0.75", "val/acc": "0.5"},
    ]
    found = History.from_rows(rows)
    assert list(found.epochs) == [1, 2]
    assert math.isnan(found["val/acc"][0])
    assert found.gap()[1] == 0.25
    assert math.isnan(found["lr"][0])
    assert found.best is None


def test_the_best_epoch_has_the_lowest_validation_loss():
    assert history([0.5] * 4, [0.5] * 4, [1.0, math.nan, 0.5, 0.7]).best == 2


def test_the_best_epoch_is_the_last_with_the_best_value_of_the_monitor():
    metrics = {"val/loss": [0.4, 0.5, 0.6, 0.7], "val/acc": [0.1, 0.8, 0.8, math.inf]}
    found = History([1, 2, 3, 4], metrics, "val/acc", "max")
    assert (found.best, found.lowest_loss) == (2, 0)
    assert "Lowest validation loss in epoch 1 of 4" in remark(found, 1000)[0]


def test_a_significant_gap_is_overfitting():
    text = said([0.6, 0.9, 0.99], [0.6, 0.8, 0.8], [1, 0.5, 0.6])
    assert "Overfitting: training accuracy is 10.0 points above" in text
    assert "validation loss rose by 20%" in text
    assert "± 2.5 points on 1,000 images" in text


def test_the_same_gap_on_few_images_is_not_significant():
    text = said([0.6, 0.9, 0.9], [0.6, 0.8, 0.8], [1, 0.5, 0.5], images=40)
    assert "No sign of overfitting" in text
    assert "10.0 points above validation" in text


def test_improvement_until_the_last_epoch_is_underfitting():
    assert "Underfitting" in said([0.3, 0.5, 0.7], [0.3, 0.5, 0.7], [3, 2, 1])
    assert "Underfitting" not in said([0.3, 0.7, 0.7], [0.3, 0.7, 0.7], [3, 2, 1])


def test_label_smoothing_is_mentioned():
    assert "label smoothing 0.1" in said([0.5] * 3, [0.5] * 3, [1, 1, 1], label_smoothing=0.1)
    assert "label smoothing" not in said([0.5] * 3, [0.5] * 3, [1, 1, 1])


@pytest.mark.parametrize(
    ("loss", "images", "words"),
    [
        ([1.0, 0.5], 1000, "Too few epochs"),
        ([math.nan] * 3, 1000, "No validation results"),
        ([1.0] * 3, 0, "No validation results"),
    ],
)
def test_missing_data_gives_one_remark(loss, images, words):
    accuracy = [0.5] * len(loss)
    (text,) = remark(history(accuracy, accuracy, loss), images)
    assert words in text


def test_a_loss_that_rises_from_zero_has_no_ratio():
    text = said([0.5] * 4, [0.5] * 4, [1.0, 0.5, 0.0, 0.3])
    assert "Lowest validation loss in epoch 3 of 4" in text
    assert "validation loss rose" not in text


def test_values_that_no_axis_can_show_are_infinite():
    rows = [{"epoch": str(i), "lr": v} for i, v in enumerate(("1e308", "-1e31", "nan", "1e30"))]
    values = History.from_rows(rows)["lr"]
    assert values[:2] == [math.inf, -math.inf]
    assert math.isnan(values[2])
    assert values[3] == 1e30

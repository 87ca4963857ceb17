"""McNemar's test reads the predictions of two runs on the same images."""

import pytest
from scipy import stats

from vgg_lit.errors import InputError
from vgg_lit.reports.prediction_tests import compare_predictions, predicted_splits


@pytest.fixture
def pair(write_run):
    return write_run("a", {}), write_run("b", {}, seed=1)


def test_images_that_only_one_run_gets_right_are_counted(pair, write_predictions):
    first, second = pair
    true = "aabbccddee"
    write_predictions(first, true, "aabbccddea")
    write_predictions(second, true, "abbaccaaee")
    found = compare_predictions(first, second)
    assert (found.split, found.images) == ("test", 10)
    assert (found.only_first, found.only_second) == (4, 1)
    assert found.p_value == pytest.approx(stats.binomtest(4, 5).pvalue)
    assert compare_predictions(second, first).only_second == 4


def test_validation_predictions_are_used_if_both_runs_have_them(pair, write_predictions):
    first, second = pair
    write_predictions(first, "ab", "ab")
    write_predictions(first, "ab", "ab", "val")
    assert compare_predictions(first, second) is None
    write_predictions(second, "ab", "aa", "val")
    assert compare_predictions(first, second).split == "val"


def test_other_images_are_not_compared(pair, write_predictions):
    first, second = pair
    write_predictions(first, "ab", "ab")
    write_predictions(second, "abc", "abc")
    assert compare_predictions(first, second) is None
    write_predictions(second, "ba", "ab")
    assert compare_predictions(first, second) is None


def test_a_damaged_file_is_one_line(pair, write_predictions):
    first, second = pair
    assert predicted_splits(first) == []
    for run in pair:
        write_predictions(run, "ab", "ab")
    (second.path / "predictions_test.csv").write_text("image,class\n0,a\n")
    with pytest.raises(InputError, match=r"predictions_test\.csv: cannot be read.*evaluate run="):
        compare_predictions(first, second)
    assert predicted_splits(first) == ["test"]

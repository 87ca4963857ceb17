"""Figures of predictions match the predictions of the run."""

from vgg_lit.analysis.errors import confused_pairs, confusion_matrix
from vgg_lit.reports.prediction_pictures import PAIRS, pairs, reliability


def test_the_most_confused_pairs_are_shown(inspection, choice):
    (picture,) = pairs(inspection, choice)
    matrix = confusion_matrix(inspection.predictions)
    expected = [
        f"{inspection.classes[true]}\npredicted as {inspection.classes[taken]}\n"
        f"{count} of {int(matrix[true].sum())}"
        for true, taken, count in confused_pairs(matrix, PAIRS)
    ]
    texts = [text.get_text() for axes in picture.figure.axes for text in axes.texts]
    assert [text for text in texts if "predicted as" in text] == expected


def test_calibration_text_compares_confidence_with_accuracy(inspection, choice):
    found = inspection.predictions
    (picture,) = reliability(inspection, choice)
    gap = 100 * float(found.confidence_N.mean() - found.is_right_N.float().mean())
    side = "above" if gap > 0 else "below"
    assert f"{abs(gap):.1f} points {side} accuracy" in picture.text[0]

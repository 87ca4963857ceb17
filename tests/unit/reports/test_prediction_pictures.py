"""Pictures of predictions show what the run predicted."""

from vgg_lit.analysis.errors import confused_pairs, confusion_matrix
from vgg_lit.reports.prediction_pictures import PAIRS, pairs, reliability


def test_the_pairs_are_those_confused_most(inspection, choice):
    (picture,) = pairs(inspection, choice)
    matrix = confusion_matrix(inspection.predictions)
    expected = [
        f"{inspection.classes[true]}\ntaken for {inspection.classes[taken]}\n"
        f"{count} of {int(matrix[true].sum())}"
        for true, taken, count in confused_pairs(matrix, PAIRS)
    ]
    texts = [text.get_text() for axes in picture.figure.axes for text in axes.texts]
    assert [text for text in texts if "taken for" in text] == expected


def test_calibration_says_on_which_side_confidence_lies(inspection, choice):
    found = inspection.predictions
    (picture,) = reliability(inspection, choice)
    gap = 100 * float(found.confidence_N.mean() - found.is_right_N.float().mean())
    side = "over" if gap > 0 else "under"
    assert f"{abs(gap):.1f} points {side} accuracy" in picture.text[0]

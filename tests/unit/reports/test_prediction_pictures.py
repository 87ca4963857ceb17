"""Figures of predictions match the predictions of the run."""

from vgg_lit.analysis.errors import confused_pairs, confusion_matrix
from vgg_lit.reports.inspection import short_name
from vgg_lit.reports.prediction_pictures import (
    PAIRS,
    galleries,
    pairs,
    reliability,
    wrong_labels,
)


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


def test_galleries_and_pairs_name_their_images(inspection, choice):
    names = {f"image {index}" for index in range(1000)}
    for picture in (*pairs(inspection, choice), *galleries(inspection, choice)):
        texts = "\n".join(text.get_text() for axes in picture.figure.axes for text in axes.texts)
        assert names & set(texts.split("\n")), picture.name
        assert "predictions_test.csv lists all images" in picture.text[0]


def test_likeliest_wrong_labels_are_listed_by_name(inspection, choice):
    (picture,) = wrong_labels(inspection, choice)
    positions = inspection.predictions.suspicious_labels(50).tolist()
    assert [row["image"] for row in picture.table] == [inspection.names[p] for p in positions]
    shares = [float(row["its probability"].removesuffix(" %")) for row in picture.table]
    assert shares == sorted(shares)
    assert all(row["label"] != row["prediction"] for row in picture.table)


def test_file_names_are_shortened_to_the_width_of_an_image(inspection, monkeypatch):
    monkeypatch.setitem(inspection.__dict__, "names", ["boots/a_rather_long_name_of_a_file.png"])
    assert short_name(inspection, 0) == "a_ra…a_file.png"

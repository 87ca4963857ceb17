"""Figures of predictions: confusion matrix, class scores, pairs, galleries and calibration."""

from collections.abc import Iterator

from matplotlib.figure import Figure
from torch import Tensor

from vgg_lit.analysis import charts, figures
from vgg_lit.analysis.errors import calibration, class_scores, confused_pairs, confusion_matrix
from vgg_lit.reports.inspection import Inspection, outcome, short_name
from vgg_lit.reports.picture import Choice, Picture

PAIRS, EXAMPLES = 6, 6

SUSPICIOUS = 50
"""Images in the table of the likeliest wrong labels."""


def confusion(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Yields the confusion matrix."""
    matrix_KK = confusion_matrix(run.predictions)
    title = f"Confusion matrix: {len(run.predictions.labels_N):,} {run.split} images"
    figure = charts.confusion_chart(matrix_KK.numpy(), run.classes, title)
    yield Picture(
        "confusion",
        "Confusion matrix",
        ["Rows are true classes, columns are predicted classes."],
        figure,
    )


def classes(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Yields precision, recall and F1 of each class."""
    scores = class_scores(run.predictions)
    figure = charts.class_scores_chart(
        run.classes, scores.precision.numpy(), scores.recall.numpy(), scores.f1.numpy()
    )
    text = "The recall of a class is the accuracy on its images. The table above has the numbers."
    yield Picture("classes", "Scores by class", [text], figure)


def pairs(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Yields the pairs of classes that are confused most often, with examples."""
    matrix_KK = confusion_matrix(run.predictions)
    rows = []
    for true, predicted, count in confused_pairs(matrix_KK, PAIRS):
        positions = run.predictions.confused(true, predicted, EXAMPLES)
        label = [
            run.classes[true],
            f"predicted as {run.classes[predicted]}",
            f"{count} of {int(matrix_KK[true].sum())}",
        ]
        captions = [
            f"{100 * float(run.predictions.confidence_N[position]):.0f} %\n{short_name(run, position)}"
            for position in positions.tolist()
        ]
        rows.append((label, run.shown(positions), captions))
    title = "Most confused pairs: examples with the confidence of the error"
    figure = figures.image_rows(rows, title)
    text = f"The most confident errors of each pair. {_listing(run)}"
    yield Picture("pairs", "Most confused pairs", [text], figure)


def galleries(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Yields correct, wrong and most confident wrong predictions."""
    found = run.predictions
    spread = "A sample spread evenly over all of them."
    for name, title, positions, text in (
        ("right", "Correct predictions", found.right(choice.images), spread),
        ("wrong", "Wrong predictions", found.wrong(choice.images), spread),
        (
            "worst",
            "Most confident wrong predictions",
            found.worst(choice.images),
            "The most confident errors first.",
        ),
    ):
        meaning = "class, confidence" if name == "right" else "class, → prediction, confidence"
        figure = _gallery(run, positions, title, meaning)
        yield Picture(f"gallery_{name}", title, [f"{text} {_listing(run)}"], figure)


def wrong_labels(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Yields the images whose labels are the likeliest to be wrong, with their names."""
    found, title = run.predictions, "Likeliest wrong labels"
    positions = found.suspicious_labels(SUSPICIOUS)
    table = [
        {
            "": f"{number}",
            "image": run.names[position],
            "label": run.classes[int(found.labels_N[position])],
            "its probability": f"{_percent(found.probabilities_NK[position, found.labels_N[position]])}",
            "prediction": run.classes[int(found.predicted_N[position])],
            "confidence": f"{_percent(found.confidence_N[position])}",
        }
        for number, position in enumerate(positions.tolist(), 1)
    ]
    text = (
        "The images whose label has the lowest probability, lowest first. Check these labels first: "
        "some are wrong in the data set, the others are errors of the network."
    )
    meaning = "label, → prediction, confidence"
    figure = _gallery(run, positions[: choice.images], title, meaning)
    yield Picture("wrong_labels", title, [text], figure, table)


def _gallery(run: Inspection, positions: Tensor, title: str, meaning: str) -> Figure:
    captions = [[*outcome(run, p), short_name(run, p)] for p in positions.tolist()]
    return figures.gallery(run.shown(positions), captions, f"{title}: {meaning}, image")


def _listing(run: Inspection) -> str:
    return f"{run.outcomes_file.name} lists all images."


def _percent(share: Tensor) -> str:
    return f"{100 * float(share):.1f} %"


def reliability(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Yields the calibration: accuracy against confidence."""
    found = calibration(run.predictions)
    figure = charts.calibration_chart(
        found.edges.numpy(),
        found.images.numpy(),
        found.confidence.numpy(),
        found.accuracy.numpy(),
        found.error,
    )
    mean = float(run.predictions.confidence_N.mean() - run.predictions.is_right_N.float().mean())
    side = "above" if mean > 0 else "below"
    text = f"Mean confidence is {100 * abs(mean):.1f} points {side} accuracy; bins with few images are noisy."
    yield Picture("calibration", "Calibration", [text], figure)

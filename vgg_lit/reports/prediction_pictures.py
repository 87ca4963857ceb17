"""Figures of predictions: confusion matrix, class scores, pairs, galleries and calibration."""

from collections.abc import Iterator

from vgg_lit.analysis import charts, figures
from vgg_lit.analysis.errors import calibration, class_scores, confused_pairs, confusion_matrix
from vgg_lit.reports.inspection import Inspection, outcome
from vgg_lit.reports.picture import Choice, Picture

PAIRS, EXAMPLES = 6, 6


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
        confidence = [f"{100 * p:.0f} %" for p in run.predictions.confidence_N[positions].tolist()]
        rows.append((label, run.shown(positions), confidence))
    title = "Most confused pairs: examples with the confidence of the error"
    figure = figures.image_rows(rows, title)
    text = "The most confident errors of each pair."
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
            "Wrong labels in the data set often appear here.",
        ),
    ):
        captions = [list(outcome(run, int(position))) for position in positions]
        meaning = "class and confidence" if name == "right" else "class, → prediction, confidence"
        figure = figures.gallery(run.shown(positions), captions, f"{title}: {meaning}")
        yield Picture(f"gallery_{name}", title, [text], figure)


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

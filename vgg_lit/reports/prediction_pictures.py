"""What a run predicts, right and wrong: confusion, scores, galleries and calibration."""

from collections.abc import Iterator

from vgg_lit.analysis import charts, figures
from vgg_lit.analysis.errors import calibration, class_scores, confused_pairs, confusion_matrix
from vgg_lit.reports.inspection import Inspection, outcome
from vgg_lit.reports.picture import Choice, Picture

PAIRS, EXAMPLES = 6, 6


def confusion(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """The confusion matrix."""
    matrix_KK = confusion_matrix(run.predictions)
    title = f"Confusion matrix: {len(run.predictions.labels_N):,} {run.split} images"
    figure = charts.confusion_chart(matrix_KK.numpy(), run.classes, title)
    yield Picture("confusion", "Confusion matrix", ["Rows are true classes."], figure)


def classes(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Precision, recall and F1 of each class."""
    scores = class_scores(run.predictions)
    figure = charts.class_scores_chart(
        run.classes, scores.precision.numpy(), scores.recall.numpy(), scores.f1.numpy()
    )
    text = "The accuracy on the images of a class is its recall. Figures are in the table above."
    yield Picture("classes", "Scores by class", [text], figure)


def pairs(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """The pairs of classes that are confused most, with examples."""
    matrix_KK = confusion_matrix(run.predictions)
    rows = []
    for true, predicted, count in confused_pairs(matrix_KK, PAIRS):
        positions = run.predictions.confused(true, predicted, EXAMPLES)
        label = [
            run.classes[true],
            f"taken for {run.classes[predicted]}",
            f"{count} of {int(matrix_KK[true].sum())}",
        ]
        confidence = [f"{100 * p:.0f} %" for p in run.predictions.confidence_N[positions].tolist()]
        rows.append((label, run.shown(positions), confidence))
    title = "Most confused pairs: examples with the confidence of the error"
    figure = figures.image_rows(rows, title)
    text = "The most confident errors of each pair."
    yield Picture("pairs", "Most confused pairs", [text], figure)


def galleries(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Right, wrong and most confidently wrong predictions."""
    found = run.predictions
    spread = "Spread evenly over all of them, so that they are typical."
    for name, title, positions, text in (
        ("right", "Right predictions", found.right(choice.images), spread),
        ("wrong", "Wrong predictions", found.wrong(choice.images), spread),
        (
            "worst",
            "Most confident wrong predictions",
            found.worst(choice.images),
            "Among them are the wrong labels of a data set, if it has any.",
        ),
    ):
        captions = [list(outcome(run, int(position))) for position in positions]
        meaning = "class and confidence" if name == "right" else "class, → prediction, confidence"
        figure = figures.gallery(run.shown(positions), captions, f"{title}: {meaning}")
        yield Picture(f"gallery_{name}", title, [text], figure)


def reliability(run: Inspection, choice: Choice) -> Iterator[Picture]:
    """Accuracy against confidence."""
    found = calibration(run.predictions)
    figure = charts.calibration_chart(
        found.edges.numpy(),
        found.images.numpy(),
        found.confidence.numpy(),
        found.accuracy.numpy(),
        found.error,
    )
    mean = float(run.predictions.confidence_N.mean() - run.predictions.is_right_N.float().mean())
    side = "over" if mean > 0 else "under"
    text = (
        f"Mean confidence is {100 * abs(mean):.1f} points {side} accuracy; small bins say little."
    )
    yield Picture("calibration", "Calibration", [text], figure)

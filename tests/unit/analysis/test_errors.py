"""Error statistics of a classifier, compared with scikit-learn on the same predictions."""

import numpy as np
import pytest
import torch

from vgg_lit.analysis.errors import (
    Predictions,
    calibration,
    class_scores,
    confused_pairs,
    confusion_matrix,
)

metrics = pytest.importorskip("sklearn.metrics")


@pytest.fixture
def found():
    draws = torch.Generator().manual_seed(0)
    labels = torch.randint(5, (300,), generator=draws)
    logits = torch.randn(300, 6, generator=draws)  # the last class has no images
    logits[range(300), labels] += 1.5
    return Predictions(logits.softmax(dim=1), labels)


def test_the_confusion_matrix_matches_scikit_learn(found):
    expected = metrics.confusion_matrix(found.labels_N, found.predicted_N, labels=range(6))
    np.testing.assert_array_equal(confusion_matrix(found), expected)


def test_class_scores_match_scikit_learn(found):
    expected = metrics.precision_recall_fscore_support(
        found.labels_N, found.predicted_N, labels=range(6), zero_division=0
    )
    scores = class_scores(found)
    for ours, theirs in zip((scores.precision, scores.recall, scores.f1), expected, strict=False):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_array_equal(scores.images, expected[3])


def test_confused_pairs_are_the_largest_off_the_diagonal():
    matrix = torch.tensor([[9, 3, 0], [5, 9, 1], [0, 0, 9]])
    assert confused_pairs(matrix, most=2) == [(1, 0, 5), (0, 1, 3)]
    assert len(confused_pairs(matrix, most=9)) == 3
    assert matrix[0, 0] == 9


def test_calibration_matches_scikit_learn(found):
    from sklearn.calibration import calibration_curve

    ours = calibration(found, bins=10)
    is_right, confidence = found.is_right_N.numpy(), found.confidence_N.numpy()
    accuracy, mean = calibration_curve(is_right, confidence, n_bins=10)
    filled = ours.images > 0
    np.testing.assert_allclose(ours.accuracy[filled], accuracy, atol=1e-6)
    np.testing.assert_allclose(ours.confidence[filled], mean, atol=1e-6)
    assert ours.accuracy[~filled].isnan().all()
    gaps = (ours.accuracy - ours.confidence).abs()[filled]
    assert ours.error == pytest.approx(float((gaps * ours.images[filled]).sum() / 300), abs=1e-5)


def test_worst_predictions_are_wrong_and_sorted_by_confidence(found):
    worst = found.worst(20)
    assert not found.is_right_N[worst].any()
    confidence = found.confidence_N[worst]
    assert (confidence.diff() <= 0).all()
    others = set(range(300)) - set(worst.tolist()) - set(found.is_right_N.nonzero()[:, 0].tolist())
    assert found.confidence_N[list(others)].max() <= confidence[-1]


def test_suspicious_labels_have_the_lowest_probabilities(found):
    positions = found.suspicious_labels(10)
    own = found.probabilities_NK.gather(1, found.labels_N[:, None])[:, 0]
    assert own[positions].tolist() == sorted(own[~found.is_right_N].tolist())[:10]
    assert not found.is_right_N[positions].any()


def test_right_and_wrong_positions_are_spread_evenly(found):
    assert found.is_right_N[found.right(10)].all()
    wrong = (~found.is_right_N).nonzero().flatten()
    assert found.wrong(5)[[0, -1]].tolist() == wrong[[0, -1]].tolist()
    assert found.wrong(1000).tolist() == wrong.tolist()


def test_confused_positions_belong_to_the_pair(found):
    pair = confused_pairs(confusion_matrix(found), 1)[0]
    positions = found.confused(pair.true, pair.predicted, 1000)
    assert len(positions) == pair.images
    assert set(found.labels_N[positions].tolist()) == {pair.true}
    assert set(found.predicted_N[positions].tolist()) == {pair.predicted}

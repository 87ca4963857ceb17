"""The outcome of each image agrees with the scores."""

import csv
import io

import pytest
import torch

from vgg_lit.data.batches import PADDING
from vgg_lit.evaluation.image_outcomes import COLUMNS, ImageOutcomes
from vgg_lit.evaluation.scoring import Scores

CLASSES = ("a", "b", "c", "d")


def rows_of_csv(outcomes, names):
    return list(csv.DictReader(io.StringIO(outcomes.to_csv(CLASSES, names))))


def test_outcomes_have_the_loss_and_the_rank_of_the_true_class():
    draws = torch.Generator().manual_seed(0)
    log_posterior = torch.randn(50, 4, generator=draws).log_softmax(dim=1)
    labels = torch.randint(0, 4, (50,), generator=draws)
    outcomes, scores = ImageOutcomes(), Scores()
    for part in torch.arange(50).split(16):
        outcomes.update(log_posterior[part], labels[part], 100 + part)
        scores.update(log_posterior[part], labels[part])
    assert outcomes.ids_N.tolist() == list(range(100, 150))
    rows = rows_of_csv(outcomes, [f"{n}.png" for n in range(50)])
    assert tuple(rows[0]) == COLUMNS
    found = scores.compute()
    losses = [float(row["loss"]) for row in rows]
    assert sum(losses) / 50 == pytest.approx(float(found["loss"]), abs=1e-5)
    for k in (1, 2, 3):
        share = sum(int(row["rank"]) <= k for row in rows) / 50
        assert share == pytest.approx(float(found[f"top{k}"]))
    for row, one, label in zip(rows, log_posterior, labels.tolist(), strict=True):
        assert row["true"] == CLASSES[label]
        assert row["predicted"] == CLASSES[int(one.argmax())]
        assert float(row["probability"]) == pytest.approx(float(one.amax().exp()), abs=1e-6)
        assert (row["true"] == row["predicted"]) == (row["rank"] == "1")


def test_padding_and_ties_are_treated_as_in_the_accuracies():
    outcomes = ImageOutcomes()
    ties = torch.full((3, 4), 0.25).log()
    outcomes.update(ties, torch.tensor([0, 2, PADDING]), torch.tensor([7, 8, PADDING]))
    rows = rows_of_csv(outcomes, ["x", "y"])
    assert [(row["predicted"], row["rank"]) for row in rows] == [("a", "1"), ("a", "3")]
    assert outcomes.ids_N.tolist() == [7, 8]

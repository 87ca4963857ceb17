"""Predictions and mistakes of a validation, over batches and processes."""

import torch

from vgg_lit.callbacks.validation_outcome import ValidationOutcome
from vgg_lit.data.orders import PADDING


def test_padding_is_not_in_the_outcome():
    draws = torch.Generator().manual_seed(0)
    logits, images = torch.randn(30, 4, generator=draws), torch.arange(30.0).view(30, 1, 1, 1)
    labels = torch.randint(4, (30,), generator=draws)
    labels[[7, 29]] = PADDING
    outcome = ValidationOutcome(worst=5)
    assert not outcome
    for part in torch.arange(30).split(11):
        outcome.add(logits[part], labels[part], images[part])
    assert outcome
    found = outcome.predictions(lambda tensor: tensor)
    kept = labels != PADDING
    torch.testing.assert_close(found.probabilities_NK, logits[kept].softmax(dim=1))
    assert torch.equal(found.labels_N, labels[kept])
    mistakes = outcome.mistakes(lambda tensor: tensor)
    worst = torch.arange(30)[kept][found.worst(5)]
    assert torch.equal(mistakes.x_NCHW.flatten().long(), worst)
    assert torch.equal(mistakes.labels_N, labels[worst])
    assert torch.equal(mistakes.predicted_N, logits.argmax(dim=1)[worst])


def test_the_outcomes_of_two_processes_are_joined():
    logits = torch.eye(4)
    outcome = ValidationOutcome(worst=9)
    outcome.add(logits, torch.tensor([0, 1, 0, PADDING]), torch.zeros(4, 1, 2, 2))
    found = outcome.predictions(lambda tensor: torch.stack([tensor, tensor]))
    assert found.probabilities_NK.shape == (6, 4)
    mistakes = outcome.mistakes(lambda tensor: torch.stack([tensor, tensor]))
    assert mistakes.labels_N.tolist() == [0, 0]
    assert mistakes.x_NCHW.shape == (2, 1, 2, 2)


def test_correct_predictions_are_not_mistakes():
    outcome = ValidationOutcome(worst=3)
    outcome.add(torch.eye(4), torch.arange(4), torch.zeros(4, 1, 2, 2))
    mistakes = outcome.mistakes(lambda tensor: tensor)
    assert len(mistakes.labels_N) == len(mistakes.x_NCHW) == 0


def test_only_the_worst_images_of_all_batches_are_kept():
    outcome = ValidationOutcome(worst=2)
    for size in (1.0, 5.0, 3.0, 2.0):
        outcome.add(torch.tensor([[size, 0.0]]), torch.tensor([1]), torch.full((1, 1, 1, 1), size))
        assert len(outcome._mistakes.x_NCHW) <= 2
    assert outcome.mistakes(lambda tensor: tensor).x_NCHW.flatten().tolist() == [5.0, 3.0]

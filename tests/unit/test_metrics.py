import pytest
import torch

from vgg_lit.metrics import epoch_metrics


class TrainerAtEpochEnd:
    """The attributes of a Trainer that `epoch_metrics` reads."""

    def __init__(self, epoch, every):
        self.current_epoch = epoch
        self.check_val_every_n_epoch = every
        self.callback_metrics = {"train/loss": torch.tensor(1.5), "val/acc": torch.tensor(0.25)}


@pytest.mark.parametrize(
    ("epoch", "every", "is_validated"),
    [(0, 1, True), (0, 2, False), (1, 2, True), (2, 3, True), (3, 3, False), (0, None, True)],
)
def test_validation_metrics_are_only_in_validated_epochs(epoch, every, is_validated):
    metrics = epoch_metrics(TrainerAtEpochEnd(epoch, every))
    assert metrics == {"train/loss": 1.5} | ({"val/acc": 0.25} if is_validated else {})

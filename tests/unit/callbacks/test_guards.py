import pytest
import torch

from vgg_lit.callbacks import FiniteLoss
from vgg_lit.errors import TrainingError


class TrainerAtEpochEnd:
    """As much of a Trainer as is looked at."""

    current_epoch = 2
    check_val_every_n_epoch = 1

    def __init__(self, loss):
        self.callback_metrics = {"train/loss": torch.tensor(loss)}


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_run_in_one_line(loss):
    with pytest.raises(TrainingError, match=r"epoch 3 is (nan|inf); .*optimizer\.lr"):
        FiniteLoss().on_train_epoch_end(TrainerAtEpochEnd(loss), None)


def test_a_finite_loss_goes_on():
    FiniteLoss().on_train_epoch_end(TrainerAtEpochEnd(2.3), None)

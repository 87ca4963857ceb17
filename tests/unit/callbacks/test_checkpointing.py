"""`best` is the best and `last` is the last, whatever the monitor does."""

import math

import pytest
import torch

from vgg_lit.callbacks import Checkpointing


def epochs(folder):
    """The epoch (from 1) that each checkpoint holds, told by its weight: two steps an epoch."""
    return {
        path.stem: int(torch.load(path, weights_only=True)["state_dict"]["weight"]) // 2
        for path in (folder / "checkpoints").iterdir()
    }


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([0.1, 0.2, 0.3], 3),
        ([0.3, 0.2, 0.1], 1),  # a monitor that worsens: Lightning's own save_last would stop here
        ([0.1, 0.3, 0.2], 2),
        ([0.2, 0.3, 0.3], 3),  # of equal ones the one trained longer
        ([math.nan, 0.1, math.nan], 2),
        ([0.3, math.inf, 0.2], 1),
    ],
)
def test_best_follows_the_monitor_and_last_the_epochs(scores, best, scripted, tmp_path):
    callback = Checkpointing(monitor="val/acc", mode="max")
    trainer = scripted(scores, callback)
    assert epochs(tmp_path) == {"best": best, "last": 3}
    assert callback.best_score == pytest.approx(scores[best - 1])
    assert callback.best_metrics["val/acc"] == pytest.approx(scores[best - 1])
    assert callback.best_checkpoint(trainer) == str(tmp_path / "checkpoints" / "best.ckpt")


def test_the_lowest_may_be_the_best(scripted, tmp_path):
    scripted([0.3, 0.1, 0.2], Checkpointing(monitor="val/acc", mode="min"))
    assert epochs(tmp_path) == {"best": 2, "last": 3}


def test_without_validation_there_is_only_the_last(scripted, tmp_path):
    callback = Checkpointing(monitor="val/acc", mode="max")
    trainer = scripted([0.3, 0.2], callback, validates=False)
    assert epochs(tmp_path) == {"last": 2}
    assert callback.best_checkpoint(trainer) == str(tmp_path / "checkpoints" / "last.ckpt")
    assert callback.best_metrics == {}


def test_an_epoch_that_was_not_validated_is_not_the_best(scripted, tmp_path):
    scripted(
        [9.0, 0.2, 9.0, 0.1, 9.0],
        Checkpointing(monitor="val/acc", mode="max"),
        check_val_every_n_epoch=2,
    )
    assert epochs(tmp_path) == {"best": 2, "last": 5}


def test_last_may_be_saved_less_often_but_always_at_the_end(scripted, tmp_path):
    saved = []

    class Spied(Checkpointing):
        def on_train_epoch_end(self, trainer, pl_module):
            super().on_train_epoch_end(trainer, pl_module)
            saved.append(epochs(tmp_path).get("last"))

    scripted([0.1] * 5, Spied(every_n_epochs=2))
    assert saved == [None, 2, 2, 4, 5]


def test_nothing_is_written_in_a_fast_dev_run(scripted, tmp_path):
    callback = Checkpointing(monitor="val/acc", mode="max")
    trainer = scripted([0.1], callback, fast_dev_run=True)
    assert not (tmp_path / "checkpoints").exists()
    assert callback.best_checkpoint(trainer) is None


def test_the_best_score_goes_on_to_count_in_a_resumed_run(scripted, tmp_path):
    scripted([0.1, 0.5], Checkpointing(monitor="val/acc", mode="max"), max_epochs=2)
    last = tmp_path / "checkpoints" / "last.ckpt"
    callback = Checkpointing(monitor="val/acc", mode="max")
    scripted([0.1, 0.5, 0.4], callback, resume=last)
    assert callback.best_score == pytest.approx(0.5)
    assert epochs(tmp_path) == {"best": 2, "last": 3}


def test_saving_less_than_every_epoch_needs_a_number():
    with pytest.raises(ValueError, match="every_n_epochs=0: should be at least 1"):
        Checkpointing(every_n_epochs=0)

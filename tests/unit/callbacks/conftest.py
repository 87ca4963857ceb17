"""A training with scripted scores, for tests of callbacks."""

import lightning.pytorch as L
import pytest
import torch
from torch.utils.data import DataLoader

from vgg_lit.checkpoints.storage import SCHEMA
from vgg_lit.checkpoints.trainer_io import AtomicCheckpointIO
from vgg_lit.system.lightning_internals import disable_signal_handling


class Scripted(L.LightningModule):
    """Logs the given validation accuracy of each epoch; its weight counts the steps."""

    def __init__(self, scores):
        super().__init__()
        self.scores = scores
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.net = torch.nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        self.log("train/acc", 0.5, on_step=False, on_epoch=True)
        self.log("train/loss", 1.0, on_step=False, on_epoch=True)
        return -self.weight  # SGD with learning rate 1 adds 1 per step

    def validation_step(self, batch, batch_idx):
        self.log("val/acc", self.scores[self.current_epoch])
        self.log("val/loss", 2.0)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)

    def on_save_checkpoint(self, checkpoint):
        checkpoint["vgg_lit"] = {"schema": SCHEMA}


@pytest.fixture
def scripted(tmp_path):
    """`scripted(scores, callbacks)`: trains one epoch of two steps per score, in tmp_path."""

    def scripted(scores, *callbacks, validates=True, resume=None, **options):
        trainer = L.Trainer(
            **{
                "max_epochs": len(scores),
                "accelerator": "cpu",
                "logger": False,
                "enable_checkpointing": any(
                    isinstance(c, L.callbacks.Checkpoint) for c in callbacks
                ),
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "num_sanity_val_steps": 0,
                "default_root_dir": tmp_path,
                "limit_val_batches": 1.0 if validates else 0,
                "callbacks": list(callbacks),
                "plugins": [AtomicCheckpointIO()],
                **options,
            }
        )
        disable_signal_handling(trainer)
        rows = [[torch.zeros(3, 4), torch.zeros(3)]] * 2
        train, val = (DataLoader(rows, batch_size=None) for _ in range(2))
        trainer.fit(Scripted(scores), train, val, ckpt_path=resume, weights_only=False)
        return trainer

    return scripted

"""Optimiser, schedule and clipping of a LightningModule."""

import math
from types import SimpleNamespace

import lightning.pytorch as L
import pytest
import torch
from torch import nn

from vgg_lit.errors import ConfigError
from vgg_lit.optim import Steps, optimized_module
from vgg_lit.optim.optimized_module import OptimizedModule

SGD = {"_target_": "torch.optim.SGD", "lr": 0.1}


def module(precision="32-true", **hyperparameters):
    """A module with a network of two layers, outside of a training."""
    made = OptimizedModule()
    torch.manual_seed(0)
    made.net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    made.hparams.update({"optimizer": None, "scheduler": None, **hyperparameters})
    made.trainer = SimpleNamespace(
        precision=precision,
        estimated_stepping_batches=20,
        num_training_batches=10,
        accumulate_grad_batches=1,
        limit_val_batches=1.0,
        world_size=1,
    )
    return made


def test_training_needs_an_optimizer():
    for given in ({}, {"optimizer": SGD}, {"scheduler": {"_target_": "vgg_lit.optim.constant"}}):
        with pytest.raises(ConfigError, match="optimizer and scheduler"):
            module(**given).configure_optimizers()


@pytest.mark.parametrize(
    ("algorithm", "clip"),
    [
        (None, torch.nn.utils.clip_grad_norm_),
        ("norm", torch.nn.utils.clip_grad_norm_),
        ("value", torch.nn.utils.clip_grad_value_),
    ],
)
def test_gradients_of_a_fused_optimiser_are_clipped(algorithm, clip):
    ours, theirs = module("bf16-mixed"), module()
    for made in (ours, theirs):
        made.net(torch.ones(2, 3)).square().sum().backward()
    optimizer = torch.optim.SGD(ours.net.parameters(), lr=1.0, fused=True)
    ours.configure_gradient_clipping(optimizer, 0.01, algorithm)
    clip(theirs.net.parameters(), 0.01)
    for found, expected in zip(ours.net.parameters(), theirs.net.parameters(), strict=True):
        assert torch.equal(found.grad, expected.grad)
        assert found.grad.abs().max() <= 0.01


def test_a_norm_that_a_callback_has_computed_is_not_computed_again():
    made = module()
    made.net(torch.ones(2, 3)).square().sum().backward()
    before = [p.grad.clone() for p in made.net.parameters()]
    made.gradient_norm = torch.tensor(100.0)
    optimizer = torch.optim.SGD(made.net.parameters(), lr=1.0)
    made.configure_gradient_clipping(optimizer, 1.0, "norm")
    for parameter, gradient in zip(made.net.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.grad, gradient / 100)


@pytest.mark.parametrize(("precision", "is_fused"), [("16-mixed", False), ("bf16-mixed", True)])
def test_the_step_is_fused_unless_gradients_are_scaled(precision, is_fused):
    made = module(precision, optimizer=SGD, scheduler={"_target_": "vgg_lit.optim.constant"})
    configured = made.configure_optimizers()
    assert list(configured) == ["optimizer"]
    assert bool(configured["optimizer"].param_groups[0].get("fused")) == is_fused


@pytest.mark.parametrize(
    ("data", "limit", "expected"),
    [(None, 1.0, True), (None, 0, False), (SimpleNamespace(has_validation=False), 1.0, False)],
)
def test_the_length_of_the_training_is_that_of_the_trainer(data, limit, expected):
    made = module()
    made.trainer.limit_val_batches = limit
    if data:
        made.trainer.datamodule = data
    assert made._steps() == Steps(total=20, per_epoch=10, has_validation=expected)


@pytest.mark.parametrize(
    ("batches", "every", "per_epoch"), [(10, 1, 10), (10, 4, 3), (8, 4, 2), (math.inf, 1, 20)]
)
def test_the_steps_of_an_epoch_do_not_depend_on_max_steps(batches, every, per_epoch):
    made = module()
    made.trainer.num_training_batches = batches
    made.trainer.accumulate_grad_batches = every
    assert made._steps().per_epoch == per_epoch


class Trained(OptimizedModule):
    """Keeps the length of its training, which ends with the first batch."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(1, 1)
        self.hparams.update({"optimizer": SGD, "scheduler": {"_target_": "vgg_lit.optim.constant"}})

    def on_train_start(self):
        self.found = self._steps()
        self.trainer.should_stop = True

    def training_step(self, batch, batch_idx):
        return self.net(batch[0]).sum()


@pytest.mark.parametrize(("max_steps", "total"), [(-1, 50), (25, 25)])
def test_an_epoch_has_the_steps_that_lightning_takes(max_steps, total, tmp_path):
    made = Trained()
    rows = torch.utils.data.TensorDataset(torch.zeros(19, 1))
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=5,
        max_steps=max_steps,
        accumulate_grad_batches=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(made, torch.utils.data.DataLoader(rows))
    assert made.found == Steps(total=total, per_epoch=10)


def plateau(made, monitor="val/acc"):
    optimizer = torch.optim.SGD(made.net.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", patience=0)
    made.trainer.lr_scheduler_configs = [SimpleNamespace(scheduler=schedule, monitor=monitor)]
    return optimizer, schedule


def test_plateau_is_stepped_with_the_score_of_the_epoch_if_there_is_one(monkeypatch):
    made = module()
    optimizer, schedule = plateau(made)
    found = {"val/acc": torch.tensor(0.5)}
    monkeypatch.setattr(optimized_module, "epoch_metrics", lambda trainer: found)
    made.on_train_epoch_end()
    made.lr_scheduler_step(schedule, torch.tensor(0.1))  # Lightning's own step does nothing
    assert schedule.num_bad_epochs == 0
    found = {}  # the epoch was not validated
    made.on_train_epoch_end()
    assert optimizer.param_groups[0]["lr"] == 1.0
    found = {"val/acc": torch.tensor(0.4)}
    made.on_train_epoch_end()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


@pytest.mark.parametrize("world_size", [1, 2])
def test_finished_layers_keep_no_gradient_in_a_single_process(world_size, monkeypatch):
    made = module()
    optimizer = torch.optim.SGD(
        [{"params": list(made.net[0].parameters()), "epochs": 2}, {"params": made.net[1].weight}],
        lr=1.0,
    )
    made.trainer.world_size, made.trainer.optimizers = world_size, [optimizer]
    made.net(torch.ones(2, 3)).sum().backward()
    for epoch in (1, 2):
        made.trainer.current_epoch = epoch
        made.fix_finished_layers()
        assert made.net[0].weight.requires_grad == (epoch < 2 or world_size == 2)
    assert (made.net[0].weight.grad is None) == (world_size == 1)
    assert made.net[1].weight.grad is not None

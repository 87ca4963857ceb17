"""A diverged run ends, and a network that does not learn gives a warning."""

import math
from types import SimpleNamespace

import lightning.pytorch as L
import pytest
import torch
from torch.utils.data import DataLoader

from vgg_lit.callbacks import ChanceLevel, FiniteLoss
from vgg_lit.errors import TrainingError


class TrainerAtEpochEnd:
    """The attributes of a Trainer that ChanceLevel reads."""

    current_epoch = 2
    check_val_every_n_epoch = 1
    is_global_zero = True

    def __init__(self, loss, step=0):
        self.callback_metrics = {"train/loss": torch.tensor(loss)}
        self.global_step = step


class Regression(L.LightningModule):
    """A regression whose loss or gradient is not finite at given steps."""

    def __init__(self, optimizer, bad_loss=(), bad_gradient=()):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.optimizer, self.bad_loss, self.bad_gradient = optimizer, bad_loss, bad_gradient
        self.weights = []

    def training_step(self, batch, batch_idx):
        self.weights.append(self.layer.weight.detach().clone())
        loss = self.layer(batch).square().mean()
        if self.global_step in self.bad_loss:
            loss = loss + self.bad_loss[self.global_step]  # its gradient would stay finite
        if self.global_step in self.bad_gradient:
            loss.register_hook(lambda gradient: gradient * math.inf)
        return loss

    def configure_optimizers(self):
        return self.optimizer(self.parameters())


OPTIMIZERS = {
    "fused SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
    "fused AdamW": lambda p: torch.optim.AdamW(p, lr=0.1, fused=True),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.1),
}


def fit(tmp_path, module, **options):
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        callbacks=[FiniteLoss()],
        **options,
    )
    batches = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(0))
    trainer.fit(module, DataLoader(batches, batch_size=None))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    "bad",
    [
        {"bad_loss": {5: math.nan}},
        {"bad_loss": {5: math.inf}},
        {"bad_gradient": {5}},
    ],
    ids=str,
)
def test_a_step_that_is_not_finite_is_skipped_and_reported(bad, optimizer, tmp_path):
    module = Regression(OPTIMIZERS[optimizer], **bad)
    with pytest.raises(TrainingError, match=r"at step 6 \(epoch 2, batch 2\).*optimizer\.lr"):
        fit(tmp_path, module)
    assert len(module.weights) == 6
    assert torch.equal(module.layer.weight, module.weights[-1])


def test_the_bad_batch_of_an_accumulated_step_is_reported(tmp_path):
    module = Regression(OPTIMIZERS["fused SGD"], bad_loss={3: math.nan})
    with pytest.raises(TrainingError, match=r"at step 4 \(epoch 2, batch 4\)"):
        fit(tmp_path, module, accumulate_grad_batches=2)


@pytest.mark.parametrize(("device", "times"), [("cpu", 40), ("mps", 2)])
def test_only_the_cpu_is_read_in_each_step(device, times, monkeypatch):
    guard, reads = FiniteLoss(), []
    guard._first_bad = SimpleNamespace(is_cpu=device == "cpu", is_cuda=False)
    monkeypatch.setattr(guard, "_end_if_bad", lambda trainer, bad: reads.append(bad))
    for batch in range(40):
        guard.on_train_batch_end(None, None, None, None, batch)
    assert len(reads) == times


def test_finite_loss_does_not_change_a_finite_run(tmp_path, train):
    options = ("trainer.gradient_clip_val=0.1", "logger=none")
    guarded = train(tmp_path / "guarded", *options)
    free = train(tmp_path / "free", *options, "callbacks.finite_loss=null")
    ours, theirs = (
        torch.load(run.checkpoint("last"), weights_only=True)["state_dict"]
        for run in (guarded, free)
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize(
    ("loss", "step", "warns"),
    [
        (math.log(10) * 1.001, 100, True),
        (math.log(10) * 0.998, 400, True),
        (math.log(10), 99, False),
        (2.2, 100, False),
        (2.5, 100, False),
    ],
)
def test_a_loss_at_chance_level_warns_once(loss, step, warns, capsys):
    module = L.LightningModule()
    module.num_classes = 10
    guard = ChanceLevel()
    for _ in range(2):
        guard.on_train_epoch_end(TrainerAtEpochEnd(loss, step), module)
    errors = capsys.readouterr().err
    assert errors.count("warning: ") == warns
    if warns:
        for remedy in ("ln(10) = 2.3026", "_bn", "model.init=xavier", "init.from="):
            assert remedy in errors

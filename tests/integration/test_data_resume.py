"""A run resumed in Lightning's loop reads the same batches as the uninterrupted run."""

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from vgg_lit.data.augment import Compose, FlipCrop
from vgg_lit.data.autoaugment import AutoAugment
from vgg_lit.data.colour import ColourShift
from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.data.erasing import Cutout, RandomErasing
from vgg_lit.data.jitter import ScaleJitter
from vgg_lit.data.mixing import CutMix, MixUp
from vgg_lit.data.sources import ResidentImages

EPOCHS, STEPS = 3, 5


class Noise:
    name, in_channels, classes = "noise", 1, ("a", "b")

    def prepare(self):
        pass

    def load(self, split):
        images = torch.randint(0, 256, (50, 1, 8, 8), generator=torch.Generator().manual_seed(0))
        return ResidentImages(images.to(torch.uint8), torch.arange(50) % 2)


class Recorder(L.LightningModule):
    """Records the (epoch, ids, input) of every training step."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen, self.validated = [], []

    def training_step(self, batch, batch_idx):
        x, _, ids = batch
        self.seen.append((self.current_epoch, ids.tolist(), x.double().sum().item()))
        return self.weight * x.mean()

    def validation_step(self, batch, batch_idx):
        self.validated += batch[2].tolist()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(folder, checkpoint=None, resume=None, val_fraction=0.2, augment=None, **options):
    callbacks = [checkpoint] if checkpoint else []
    trainer = L.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=bool(checkpoint),
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=folder,
        callbacks=callbacks,
        **options,
    )
    module = Recorder()
    augment = augment or FlipCrop(2)
    data = ImageDataModule(
        Noise(), image_size=8, batch_size=8, val_fraction=val_fraction, augment=augment
    )
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    return module


def test_epochs_differ_and_validation_counts_once(tmp_path):
    module = fit(tmp_path, num_sanity_val_steps=0)
    assert [epoch for epoch, _, _ in module.seen] == [
        e for e in range(EPOCHS) for _ in range(STEPS)
    ]
    epochs = [module.seen[e * STEPS : (e + 1) * STEPS] for e in range(EPOCHS)]
    assert len({str([ids for _, ids, _ in epoch]) for epoch in epochs}) == EPOCHS
    assert len(module.validated) == EPOCHS * 10
    assert len(set(module.validated)) == 10
    assert not {i for _, ids, _ in module.seen for i in ids} & set(module.validated)


AT_STEPS = {"every_n_train_steps": 1}  # the last step of an epoch included
BEFORE_VALIDATION = {"every_n_epochs": 1, "save_on_train_epoch_end": True}
AFTER_VALIDATION = {"every_n_epochs": 1, "save_on_train_epoch_end": False}


@pytest.mark.parametrize("limit", [None, 4])
@pytest.mark.parametrize(
    ("when", "val_fraction"),
    [
        (AT_STEPS, 0.2),
        (AT_STEPS, 0),
        (BEFORE_VALIDATION, 0.2),
        (BEFORE_VALIDATION, 0),
        (AFTER_VALIDATION, 0.2),
    ],
)
def test_resumed_from_any_checkpoint(tmp_path, when, val_fraction, limit):
    options = {"val_fraction": val_fraction, "limit_train_batches": limit}
    checkpoint = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, **when)
    whole = fit(tmp_path, checkpoint, **options).seen
    files = sorted(tmp_path.glob("*.ckpt"))
    assert len(files) >= EPOCHS
    for path in files:
        step = int(path.stem.removeprefix("step="))
        resumed = fit(tmp_path, resume=path, **options).seen
        assert resumed == whole[step:], path.name


@pytest.mark.parametrize(
    "make_augment",
    [
        lambda: FlipCrop(2, flip="alternating", padding_mode="reflect"),
        lambda: Compose(jitter=ScaleJitter(8), colour=ColourShift(2.0)),
        lambda: Compose(policy=AutoAugment(), cutout=Cutout(3), erasing=RandomErasing()),
        lambda: Compose(mixing=MixUp(0.3)),
        lambda: Compose(mixing=CutMix()),
    ],
)
def test_every_kind_of_augmentation_resumes_within_an_epoch(tmp_path, make_augment):
    checkpoint = ModelCheckpoint(
        tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=STEPS + 2
    )
    whole = fit(tmp_path, checkpoint, augment=make_augment()).seen
    resumed = fit(tmp_path, resume=tmp_path / f"step={STEPS + 2}.ckpt", augment=make_augment())
    assert resumed.seen == whole[STEPS + 2 :]
    assert resumed.seen


def test_a_checkpoint_without_statistics_resumes(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=7)
    whole = fit(tmp_path, checkpoint).seen
    content = torch.load(tmp_path / "step=7.ckpt", weights_only=True)
    assert content.pop("ImageDataModule")
    torch.save(content, tmp_path / "old.ckpt")
    assert fit(tmp_path, resume=tmp_path / "old.ckpt").seen == whole[7:]


def test_overfitting_uses_the_same_images_in_every_epoch(tmp_path):
    seen = fit(tmp_path, overfit_batches=2).seen
    epochs = [[ids for _, ids, _ in seen[i : i + 2]] for i in range(0, 2 * EPOCHS, 2)]
    assert len(seen) == 2 * EPOCHS
    assert epochs[0] == epochs[1] == epochs[2]

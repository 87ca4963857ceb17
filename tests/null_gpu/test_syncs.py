"""Every setting trains, validates and tests on a GPU, and no step waits for the device."""

from typing import get_args

import pytest

from vgg_lit.config.group_options import config_folder
from vgg_lit.value_types import Precision

SETTINGS = [
    "augment=flip_shift callbacks=[default,tensorboard] logger=tensorboard",
    "augment=none callbacks=[default,early_stopping] trainer.precision=32-true",
    "augment=flip_crop loss=focal",
    "augment=alternating_flip_cutout",
    "augment=alternating_flip callbacks=[default,layer_times] trainer.deterministic=true",
    "augment=erasing optimizer=adam trainer.precision=bf16-true",
    "augment=flip_crop_erasing optimizer=adamw trainer.precision=64-true",
    "augment=cutmix callbacks=[default,ema]",
    "augment=mixup loss=bce",
    "augment=paper optimizer=muon trainer.gradient_clip_val=null",
    "augment=trivial_erasing loss=distillation",
    "augment=autoaugment_cutout callbacks=[default,swa] data.balanced=true",
    "model=fast_vgg optimizer=muon_adamw trainer.gradient_clip_val=null",
    "model=vgg11_bn model.head=imagenet callbacks=none trainer.accumulate_grad_batches=2",
]
"""Each option of each group once: a run takes a second."""

WAITING = ["trainer.precision=16-mixed", "optimizer=nadam", "optimizer=rmsprop"]
"""The scale of float16, and optimisers without a fused step, are read in each step."""

DEFAULTS = {"optimizer=sgd", "loss=cross_entropy", "default", "trainer.precision=bf16-mixed"}


def test_every_option_is_tried():
    given = {word for settings in [*SETTINGS, *WAITING] for word in settings.split()} | DEFAULTS
    for group in ("augment", "loss", "optimizer"):
        names = {path.stem for path in (config_folder() / group).glob("*.yaml")}
        assert {f"{group}={name}" for name in names} <= given
    precisions = {*get_args(Precision)} - {"auto"}
    assert {f"trainer.precision={precision}" for precision in precisions} <= given
    callbacks = {path.stem for path in (config_folder() / "callbacks").glob("*.yaml")}
    named = " ".join(word for word in given if "callbacks" in word)
    assert [name for name in callbacks if name not in named] == []


@pytest.mark.parametrize("settings", SETTINGS)
def test_no_step_waits_for_the_device(settings, null_gpu, gpu_run):
    if "distillation" in settings:
        settings += f" loss.teacher={gpu_run}"
    done = null_gpu("tests/null_gpu/steps_without_sync.py", *settings.split())
    assert done.out.endswith("ok\n")


def test_no_step_of_ddp_waits_for_the_device(null_gpu):
    settings = ("trainer.devices=2", "data.train_size=640")
    done = null_gpu("tests/null_gpu/steps_without_sync.py", *settings, NULL_GPU_DEVICES="2")
    assert done.out.splitlines().count("ok") == 2  # of each process


@pytest.mark.parametrize("settings", WAITING)
def test_a_step_that_waits_is_found(settings, null_gpu):
    done = null_gpu("tests/null_gpu/steps_without_sync.py", settings, code=1)
    assert "called a synchronizing CUDA operation" in done.err

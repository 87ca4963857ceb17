"""Trains, validates and tests on CUDA; a step that waits for the device raises an error.

    python tests/null_gpu/steps_without_sync.py [setting ...]

Prints `ok`.
"""

import ctypes
import os
import sys
import tempfile
from pathlib import Path

import hydra
import lightning.pytorch as L
import torch

from vgg_lit.config.checks import check_train, to_plain
from vgg_lit.config.group_options import config_folder
from vgg_lit.config.resolvers import register_resolvers
from vgg_lit.training import experiment

SETTINGS = [
    *("trainer=gpu", "data.train_size=320", "data.test_size=160", "data.val_fraction=0.5"),
    *("trainer.max_epochs=1", "data.batch_size=32", "logger=none", "model.width=0.0625"),
    "trainer.limit_val_batches=5",
]
FIRST, LAST = 2, 4
"""The batches between which no operation may wait; the first ones allocate memory."""

SKIPPED_BY_DDP = 10
"""The training steps in which DDP measures itself, for which it waits."""

WAITS = ("wait ", "copy device to pageable")
"""Beginnings of what the null GPU counts when the host waits."""


def waits() -> int:
    """The times that the host has waited for the null GPU; 0 on a GPU."""
    if "NULL_GPU_LIBRARY" not in os.environ:
        return 0
    buffer = ctypes.create_string_buffer(1 << 20)
    ctypes.CDLL(os.environ["NULL_GPU_LIBRARY"]).null_gpu_counts(buffer, len(buffer))
    lines = buffer.value.decode().splitlines()
    return sum(int(line.rsplit("\t", 1)[1]) for line in lines if line.startswith(WAITS))


class NoSync(L.Callback):
    """Raises an error if an operation of a step waits for the device."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._before = 0

    def _at(self, stage: str, batch: int, skipped: int = 0) -> None:
        batch -= skipped
        if batch == FIRST:
            torch.cuda.set_sync_debug_mode("error")
            self.seen.add(stage)
            self._before = waits()
        elif batch == LAST:
            torch.cuda.set_sync_debug_mode("default")
            found = waits() - self._before
            assert not found, f"{stage}: the host waited {found} times for the device"

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self._at("train", batch_idx, SKIPPED_BY_DDP * (trainer.world_size > 1))

    def on_validation_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0):
        self._at("val", batch_idx)

    def on_test_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0):
        self._at("test", batch_idx)


register_resolvers()
with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
    config = to_plain(hydra.compose("train", overrides=[*SETTINGS, *sys.argv[1:]]))
check_train(config)
guard = NoSync()
build = experiment.build_trainer


def build_guarded(*arguments, **options):
    trainer = build(*arguments, **options)
    trainer.callbacks.append(guard)
    return trainer


experiment.build_trainer = build_guarded
with tempfile.TemporaryDirectory() as folder:
    experiment.run_experiment(config, Path(folder) / "run", [])
assert guard.seen == {"train", "val", "test"}, guard.seen
print("ok")

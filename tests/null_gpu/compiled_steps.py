"""Trains a network that is compiled with CUDA graphs; prints the captures and launches so far.

    python tests/null_gpu/compiled_steps.py [setting ...]

There is a line for each batch: its stage, its number of images, captures of graphs, launches of graphs, and
launches of kernels outside of graphs. The last batch of a validation is smaller. Each batch is in new memory.
"""

import contextlib
import ctypes
import os
import sys
import tempfile
from pathlib import Path

import lightning.pytorch as L
from training import build, compose

SETTINGS = (
    *("trainer=gpu", "compile=reduce-overhead", "model.variant=[[4]]", "logger=none"),
    *("data.train_size=256", "data.val_fraction=0.05", "data.batch_size=64"),
    *("trainer.max_epochs=3", "callbacks.throughput=null", "callbacks.checkpointing=null"),
)


class Graphs(L.Callback):
    """Prints the counts of the null GPU after each batch."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ["NULL_GPU_LIBRARY"])
        self._kept: list[object] = []

    def _show(self, stage: str, batch: tuple) -> None:
        self._kept.append(batch)  # so that the next one has another address
        buffer = ctypes.create_string_buffer(1 << 20)
        self._library.null_gpu_counts(buffer, len(buffer))
        lines = [line.rsplit("\t", 1) for line in buffer.value.decode().splitlines()]
        found = [
            sum(int(count) for what, count in lines if what.startswith(beginning))
            for beginning in ("graph capture", "graph launch", "kernel ")
        ]
        if os.environ.get("LOCAL_RANK", "0") == "0":
            print(stage, len(batch[0]), *found, sep="\t", file=sys.__stdout__, flush=True)

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        self._show("train", batch)

    def on_validation_batch_end(self, trainer, module, outputs, batch, index, loader=0):
        self._show("val", batch)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        classifier, datamodule, trainer = build(
            compose(*SETTINGS, *sys.argv[1:]), Path(folder) / "run"
        )
        trainer.callbacks.append(Graphs())
        trainer.fit(classifier, datamodule=datamodule)

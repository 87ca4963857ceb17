"""The Trainer's checkpoint IO: atomic files, written synchronously or during training."""

from collections import deque
from concurrent import futures
from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import TorchCheckpointIO

from vgg_lit.checkpoints.storage import on_host, read_checkpoint, write_checkpoint

MOST_WAITING = 2
"""Limit on copies of the training state in memory: `best.ckpt` and `last.ckpt` of one epoch."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint files, written so that a crash leaves the last good one.

    Lightning 2.6 writes through a temporary folder that may be on another file system, and does not
    flush: a full disk then destroys the previous file. Its `AsyncCheckpointIO` keeps any number of copies
    on the device, and raises an error only at the next save or at the end.

    Asynchronous checkpoints are the same files. They are written one after another, in the order of the
    saves, and the interpreter does not exit before they are written.
    """

    def __init__(self) -> None:
        self._thread = futures.ThreadPoolExecutor(1, "checkpoints")  # starts with the first write
        self._writes: deque[futures.Future[None]] = deque()

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Writes a checkpoint, or copies the state and writes it in a thread.

        Args:
            checkpoint: tensors and plain Python values.
            path: the file.
            storage_options: optional keys `keep_as`, see `write_checkpoint`, and `asynchronous`.

        Raises:
            TrainingError: as `write_checkpoint`; also for an earlier checkpoint.
        """
        options = dict(storage_options or {})
        if options.pop("asynchronous", False):
            self._finish(leave=MOST_WAITING - 1)
            copied = on_host(checkpoint)
            self._writes.append(
                self._thread.submit(write_checkpoint, copied, Path(path), **options)
            )
        else:
            self.finish()
            write_checkpoint(checkpoint, Path(path), **options)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Reads a checkpoint; always with `weights_only=True`."""
        return read_checkpoint(path, map_location or "cpu")

    def check(self) -> None:
        """Raises the error of a write that has failed; does not wait."""
        while self._writes and self._writes[0].done():
            self._writes.popleft().result()

    def finish(self) -> None:
        """Waits until all checkpoints are written.

        Raises:
            TrainingError: a checkpoint could not be written.
        """
        self._finish(leave=0)

    def wait(self, seconds: float) -> None:
        """Waits until all checkpoints are written, or for `seconds`; called from another thread."""
        futures.wait(list(self._writes), seconds)

    def _finish(self, leave: int) -> None:
        while len(self._writes) > leave:
            futures.wait([self._writes[0]])  # a signal may interrupt this wait
            self._writes.popleft().result()

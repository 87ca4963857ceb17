"""How the Trainer writes and reads checkpoints: whole files or none, at once or while it trains on."""

from collections import deque
from concurrent import futures
from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import TorchCheckpointIO

from vgg_lit.checkpoints.storage import on_host, read_checkpoint, write_checkpoint

MOST_WAITING = 2
"""Copies of a training's state in memory at a time: `best.ckpt` and `last.ckpt` of one epoch."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint files, written so that a crash leaves the last good one.

    Lightning 2.6 writes through a temporary folder that may lie on another file system, and does not
    flush: a full disk then destroys the previous file. Its `AsyncCheckpointIO` keeps any number of copies
    on the device, and an error is known only to the next save or the end.

    Checkpoints that are written while the training goes on are the same files, one after another in the
    order they were saved. The interpreter does not end before they are written.
    """

    def __init__(self) -> None:
        self._thread = futures.ThreadPoolExecutor(1, "checkpoints")  # starts with the first write
        self._writes: deque[futures.Future[None]] = deque()

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Writes and renames, or copies the state and has that done meanwhile.

        Args:
            checkpoint: tensors and plain Python values.
            path: the file.
            storage_options: may hold `keep_as`, see `write_checkpoint`, and `asynchronous`.

        Raises:
            TrainingError: as `write_checkpoint` does, also for an earlier one.
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
        """Reads with `weights_only=True`, whatever is asked for."""
        return read_checkpoint(path, map_location or "cpu")

    def check(self) -> None:
        """Raises the error of a write that has failed meanwhile; waits for none."""
        while self._writes and self._writes[0].done():
            self._writes.popleft().result()

    def finish(self) -> None:
        """Waits until all is written.

        Raises:
            TrainingError: something could not be.
        """
        self._finish(leave=0)

    def wait(self, seconds: float) -> None:
        """Waits until all is written, or so long; from another thread than the one that saves."""
        futures.wait(list(self._writes), seconds)

    def _finish(self, leave: int) -> None:
        while len(self._writes) > leave:
            futures.wait([self._writes[0]])  # which a signal may interrupt
            self._writes.popleft().result()

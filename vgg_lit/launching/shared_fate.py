"""The end of a run on all its ranks: one failed rank ends the run, and its error is the one reported.

with ending_together(trainer, run.path):
    trainer.fit(...)

`vgg_lit.launching.watch` has the thread that monitors the other ranks.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as L

from vgg_lit.errors import Preempted, disk_error
from vgg_lit.launching.watch import GRACE_SECONDS, POLL_SECONDS, Watch
from vgg_lit.system.status import write_status


@contextmanager
def ending_together(trainer: L.Trainer, path: Path) -> Iterator[None]:
    """Returns a context in which all ranks of a run end together; records the reason in `status.json`.

    Args:
        trainer: Trainer of the run.
        path: run directory.

    Raises:
        ProcessFailed: another rank failed first.
        OutOfMemory: replaces torch's error.
        TrainingError: another rank does not respond, or a file cannot be written.
    """
    watch = Watch(trainer, path)
    if trainer.world_size > 1:
        watch.start()
        trainer.callbacks.append(EarlyReport(watch))  # type: ignore[attr-defined]
    grace = GRACE_SECONDS
    hook = threading.excepthook
    threading.excepthook = lambda failed: _report_in_thread(failed, hook)
    try:
        yield
    except Preempted as stop:
        if trainer.is_global_zero:
            write_status(path, "preempted", str(stop))
        raise
    except BaseException as error:
        grace = POLL_SECONDS  # no other rank has anything to save
        ours = watch.explain(error)
        if ours is error:
            raise
        raise ours from error
    finally:
        watch.stop(grace)
        threading.excepthook = hook


class EarlyReport(L.Callback):
    """Records an error before Lightning's teardown, which may not end.

    The teardown copies the weights from the GPU. The copy waits for the collectives before it, and one that
    another rank does not join never ends.

    Args:
        watch: the monitor of this process.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Records the error, and limits the time of the teardown."""
        if not isinstance(exception, Preempted):
            self._watch.explain(exception)
            self._watch.limit_teardown()


def _report_in_thread(
    failed: threading.ExceptHookArgs, report: Callable[[threading.ExceptHookArgs], Any]
) -> None:
    """Reports an exception in a thread, except that of a full disk.

    TensorBoard's writer raises that one again in the main thread, which ends the run.
    """
    if not disk_error(failed.exc_value):
        report(failed)

"""Handlers for the signals that end a run, at once or after its work is saved."""

import signal
import threading
import time
from types import FrameType, TracebackType

from vgg_lit.errors import Preempted
from vgg_lit.system.operating_system import ENDING

SECONDS_BETWEEN_PRESSES = 1.0
"""SIGINTs that are closer together count as one, because terminal and launcher may both send it."""


class EndingSignals:
    """Signal handlers that end a program in order.

    Outside of training, a signal raises `Preempted` immediately. A training loop defers signals: the
    handler only stores the signal, and the loop checks `noted` and saves its work. A second SIGINT raises
    `Preempted` at once.
    """

    def __init__(self) -> None:
        self.noted: signal.Signals | None = None
        self._noted_at = 0.0
        self._is_deferred = False
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> "EndingSignals":
        if threading.current_thread() is threading.main_thread():
            self._before = {signum: signal.signal(signum, self._receive) for signum in ENDING}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.noted, self._is_deferred = None, False
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before = {}

    def defer(self) -> None:
        """Stores signals from now on instead of raising `Preempted`."""
        self._is_deferred = True

    def act(self) -> None:
        """Ends the deferral: signals raise `Preempted` again.

        Raises:
            Preempted: a signal arrived during the deferral.
        """
        self._is_deferred = False
        if self.noted:
            raise Preempted(self.noted)

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        now, is_first = time.monotonic(), self.noted is None
        is_insisting = signum == signal.SIGINT and now - self._noted_at > SECONDS_BETWEEN_PRESSES
        if is_first:
            self.noted, self._noted_at = signal.Signals(signum), now
        if not self._is_deferred if is_first else is_insisting:
            raise Preempted(signum)


ending_signals = EndingSignals()
"""The signal handlers of this process."""

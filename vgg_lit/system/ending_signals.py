"""The signals that ask a run to end: acted on at once, or at the next place where its work can be saved."""

import signal
import threading
import time
from types import FrameType, TracebackType

from vgg_lit.errors import Preempted

ENDING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
]
"""Ctrl-C, what `kill` and cluster schedulers send, and what schedulers send ahead of it."""

SECONDS_BETWEEN_PRESSES = 1.0
"""Two SIGINT closer to each other than this are one: a terminal and a launcher may both pass it on."""


class EndingSignals:
    """Handlers that end a program in order.

    Outside of training a signal raises `Preempted` where the program stands. A training loop that saves
    its work defers that: the signal is noted, and the loop looks. A second SIGINT ends it at once.
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
        """From now on signals are only noted."""
        self._is_deferred = True

    def act(self) -> None:
        """From now on signals are acted on, also one that has been noted.

        Raises:
            Preempted: one has been noted.
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
"""Those of this process: there is one set of handlers in each."""

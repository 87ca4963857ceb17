"""Handlers for the signals that end a run, at once or after its work is saved."""

import signal
import socket
import threading
import time
from contextlib import suppress
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


class ArrivedSignals:
    """Signals that have arrived, also those that the main thread cannot handle.

    Python runs a signal handler between two instructions of the main thread. A call that does not return,
    such as a wait for a GPU, therefore delays it for ever; the system call that reports the signal here
    does not wait. Must be created and closed in the main thread; elsewhere no signal arrives.
    """

    def __init__(self) -> None:
        self._is_main = threading.current_thread() is threading.main_thread()
        self._ours, self._theirs = socket.socketpair()
        self._first: tuple[signal.Signals, float] | None = None
        for end in (self._ours, self._theirs):
            end.setblocking(False)
        if self._is_main:
            descriptor = self._theirs.fileno()
            self._before = signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)

    def unanswered(self, seconds: float) -> signal.Signals | None:
        """Returns the signal to end that has arrived `seconds` ago and is not handled; None if there is none."""
        with suppress(OSError):  # nothing has arrived, or closed
            numbers = [number for number in self._ours.recv(4096) if number in ENDING]
            if numbers and not self._first:
                self._first = signal.Signals(numbers[0]), time.monotonic()
        if not self._first or ending_signals.noted or time.monotonic() < self._first[1] + seconds:
            return None
        return self._first[0]

    def close(self) -> None:
        """Restores the descriptor that received signals before."""
        if self._is_main:
            signal.set_wakeup_fd(self._before)
        self._ours.close()
        self._theirs.close()

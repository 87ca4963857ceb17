"""Signals end a program at once, or are deferred until its state is saved."""

import signal
import time

import pytest

from vgg_lit.errors import Preempted
from vgg_lit.system import ending_signals as module
from vgg_lit.system.ending_signals import EndingSignals


def send(signum):
    signal.raise_signal(signum)
    time.sleep(0.01)


@pytest.mark.parametrize("signum", module.ENDING)
def test_outside_training_a_signal_ends_the_program_at_once(signum):
    with EndingSignals(), pytest.raises(Preempted) as ended:
        send(signum)
    assert ended.value.exit_code == (130 if signum == signal.SIGINT else 143)
    assert str(ended.value) == f"{signum.name}: stopped"


def test_the_first_deferred_signal_is_recorded():
    with EndingSignals() as signals:
        signals.defer()
        send(signal.SIGTERM)
        send(module.ENDING[-1])
        assert signals.noted == signal.SIGTERM
        with pytest.raises(Preempted, match="SIGTERM"):
            signals.act()


def test_a_second_ctrl_c_ends_at_once_unless_it_is_immediate(monkeypatch):
    with EndingSignals() as signals:
        signals.defer()
        send(signal.SIGINT)
        send(signal.SIGINT)
        monkeypatch.setattr(module, "SECONDS_BETWEEN_PRESSES", 0.0)
        with pytest.raises(Preempted, match="SIGINT"):
            send(signal.SIGINT)


def test_a_second_signal_during_shutdown_is_ignored():
    has_ended = False
    with EndingSignals():
        try:
            send(signal.SIGTERM)
        except Preempted:
            send(signal.SIGTERM)
            has_ended = True
    assert has_ended


def test_the_previous_handlers_are_restored():
    before = [signal.getsignal(signum) for signum in module.ENDING]
    with EndingSignals() as signals:
        signals.defer()
        send(signal.SIGTERM)
    assert [signal.getsignal(signum) for signum in module.ENDING] == before
    assert signals.noted is None
    with signals:
        signals.act()


def test_a_handled_signal_is_not_unanswered():
    arrived = module.ArrivedSignals()
    try:
        assert arrived.unanswered(0.0) is None
        with module.ending_signals as signals:
            signals.defer()
            send(signal.SIGTERM)
            assert arrived.unanswered(0.0) is None
        assert arrived.unanswered(0.0) == signal.SIGTERM  # `noted` is reset
        assert arrived.unanswered(60.0) is None
    finally:
        arrived.close()
    assert signal.set_wakeup_fd(-1) == -1

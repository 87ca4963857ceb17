"""Signals end a program at once, or where its work is saved."""

import os
import signal
import time

import pytest

from vgg_lit.errors import Preempted
from vgg_lit.processes import ending_signals as module
from vgg_lit.processes.ending_signals import EndingSignals


def send(signum):
    os.kill(os.getpid(), signum)
    time.sleep(0.01)


@pytest.mark.parametrize("signum", module.ENDING)
def test_outside_of_training_a_signal_ends_the_program_where_it_stands(signum):
    with EndingSignals(), pytest.raises(Preempted) as ended:
        send(signum)
    assert ended.value.exit_code == (130 if signum == signal.SIGINT else 143)
    assert str(ended.value) == f"{signum.name}: ended where it stood"


def test_deferred_signals_are_noted_and_the_first_counts():
    with EndingSignals() as signals:
        signals.defer()
        send(signal.SIGTERM)
        send(signal.SIGUSR1)
        assert signals.noted == signal.SIGTERM
        with pytest.raises(Preempted, match="SIGTERM"):
            signals.act()


def test_a_second_ctrl_c_ends_at_once_but_not_one_of_the_same_moment(monkeypatch):
    with EndingSignals() as signals:
        signals.defer()
        send(signal.SIGINT)
        send(signal.SIGINT)
        monkeypatch.setattr(module, "SECONDS_BETWEEN_PRESSES", 0.0)
        with pytest.raises(Preempted, match="SIGINT"):
            send(signal.SIGINT)


def test_while_it_ends_a_signal_adds_nothing():
    has_ended = False
    with EndingSignals():
        try:
            send(signal.SIGTERM)
        except Preempted:
            send(signal.SIGTERM)
            has_ended = True
    assert has_ended


def test_the_handlers_of_before_are_put_back():
    before = [signal.getsignal(signum) for signum in module.ENDING]
    with EndingSignals() as signals:
        signals.defer()
        send(signal.SIGTERM)
    assert [signal.getsignal(signum) for signum in module.ENDING] == before
    assert signals.noted is None
    with signals:
        signals.act()

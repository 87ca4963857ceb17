"""The torchrun wrapper reports errors in one line; tests/integration/test_nodes.py tests real nodes."""

import logging
import sys

import pytest
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.elastic.rendezvous import RendezvousConnectionError
from torch.distributed.launcher import api

from vgg_lit import torchrun
from vgg_lit.launching import elastic


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """Restores the environment, the agent and logging."""
    for name in ("VGG_LIT_JOB_STORE", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "TORCH_CPP_LOG_LEVEL"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(api, "LocalElasticAgent", api.LocalElasticAgent)
    yield
    logging.disable(logging.NOTSET)


def failed(tmp_path, code):
    return ChildFailedError("train", {1: ProcessFailure(0, 99, code, str(tmp_path / "none"))})


@pytest.mark.parametrize(
    ("code", "exit_code", "said"),
    [(2, 2, ""), (143, 143, ""), (-9, 137, "error: process 1 was killed by SIGKILL\n")],
)
def test_the_exit_code_is_that_of_the_first_failed_process(
    code, exit_code, said, monkeypatch, capsys, tmp_path
):
    error = failed(tmp_path, code)
    assert come_to(error, monkeypatch) == exit_code
    assert capsys.readouterr().err == said


def come_to(error, monkeypatch):
    """Returns the exit code if torchrun raises an error."""

    def run(arguments):
        raise error

    monkeypatch.setattr(elastic.run, "run", run)
    monkeypatch.setattr(sys, "argv", ["torchrun", "--rdzv-endpoint=10.9.9.9:1", "-m", "x"])
    with pytest.raises(SystemExit) as stop:
        torchrun.main()
    return stop.value.code


def test_a_failed_rendezvous_is_one_line(monkeypatch, capsys):
    error = RendezvousConnectionError("See inner exception for details.")
    error.__cause__ = TimeoutError("timed out\nafter a while")
    assert come_to(error, monkeypatch) == 2
    assert capsys.readouterr().err == "error: rendezvous at 10.9.9.9:1: timed out after a while\n"


def test_bad_options_and_signals_set_the_exit_code(monkeypatch, capsys):
    assert come_to(ValueError("no such thing"), monkeypatch) == 2
    assert capsys.readouterr().err == "error: no such thing\n"
    assert come_to(SignalException("x", sigval=15), monkeypatch) == 143

"""The agent of torchrun: its addresses and its restarts."""

from argparse import Namespace
from types import SimpleNamespace

import pytest
import torch.distributed as dist
from torch.distributed.elastic.agent.server.api import RunResult, WorkerState
from torch.distributed.elastic.rendezvous import (
    RendezvousConnectionError,
    c10d_rendezvous_backend,
    static_tcp_rendezvous,
)
from torch.distributed.launcher import api

from vgg_lit.launching import elastic
from vgg_lit.system.launch import JOB_STORE


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Restores the environment."""
    for name in (JOB_STORE, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"):
        monkeypatch.setenv(name, "")


def arguments(endpoint, **others):
    known = {"rdzv_backend": "c10d", "local_addr": None, "rdzv_conf": ""}
    return Namespace(rdzv_endpoint=endpoint, **{**known, **others})


def test_the_endpoint_determines_host_and_local_address():
    here, there = arguments("127.0.0.1:29400"), arguments("192.0.2.1:1", rdzv_conf="join_timeout=9")
    elastic.complete(here)
    elastic.complete(there)
    assert (here.local_addr, here.rdzv_conf) == ("127.0.0.1", "is_host=True")
    assert there.rdzv_conf == "join_timeout=9,is_host=False"


@pytest.mark.parametrize(
    "given",
    [
        arguments("", rdzv_backend="static"),
        arguments("localhost:0"),
        arguments("127.0.0.1:1", local_addr="x", rdzv_conf="is_host=0"),
    ],
    ids=str,
)
def test_explicit_and_local_settings_are_kept(given):
    before = vars(given).copy()
    elastic.complete(given)
    assert vars(given) == before


@pytest.mark.parametrize(
    ("host", "is_local"),
    [("127.0.0.1", True), ("", True), ("192.0.2.1", False), ("a..b", False), ("a" * 70, False)],
)
def test_a_host_is_local_if_a_socket_can_be_bound_to_it(host, is_local):
    assert elastic.is_local_address(host) == is_local


@pytest.fixture
def agent(monkeypatch):
    """`agent(state, 1, 2)`: the restarts that are left after processes end with these codes."""

    def agent(state, *codes):
        failures = {
            rank: SimpleNamespace(exitcode=code, timestamp=-rank) for rank, code in enumerate(codes)
        }
        result = RunResult(state=state, failures=failures)
        monkeypatch.setattr(
            api.LocalElasticAgent, "_monitor_workers", lambda self, group: result, raising=True
        )
        monkeypatch.setattr(elastic.Agent, "ended_by", None)
        made = elastic.Agent.__new__(elastic.Agent)
        made._remaining_restarts = 3
        assert made._monitor_workers(None) is result
        return made._remaining_restarts

    return agent


@pytest.mark.parametrize("code", [2, 130, 143])
def test_bad_input_and_signals_are_not_repeated(code, agent):
    assert agent(WorkerState.FAILED, 1, code) == 0


@pytest.mark.parametrize(
    ("state", "codes"), [("FAILED", (1,)), ("FAILED", (-9, 1)), ("HEALTHY", ())]
)
def test_other_failures_are(state, codes, agent):
    assert agent(WorkerState[state], *codes) == 3


@pytest.mark.parametrize(
    ("codes", "exit_code", "message"),
    [
        ((143, 2), 2, ""),  # the process with code 2 was the first, and has printed its error
        ((2, -9), 137, "error: process 1 was killed by SIGKILL\n"),
        ((1,), 2, "error: rendezvous at a:1: connection closed\n"),  # it was to be restarted
    ],
)
def test_a_lost_store_is_no_error_after_the_processes_have_ended(
    codes, exit_code, message, agent, monkeypatch, capsys
):
    agent(WorkerState.FAILED, *codes)
    if elastic.Agent.ended_by:
        elastic.Agent.ended_by[1].signal_name = lambda: "SIGKILL"

    def fail(arguments):
        raise RendezvousConnectionError("connection closed")

    monkeypatch.setattr(elastic.run, "run", fail)
    monkeypatch.setattr(api, "LocalElasticAgent", api.LocalElasticAgent)
    words = ["--nnodes=2", "--rdzv-backend=static", "--rdzv-endpoint=a:1", "-m", "nothing"]
    with pytest.raises(SystemExit) as stop:
        elastic.run_agents(words)
    assert stop.value.code == exit_code
    assert capsys.readouterr().err == message


def test_torchrun_starts_no_store_with_libuv_where_there_is_none(monkeypatch):
    changed = (dist, c10d_rendezvous_backend, static_tcp_rendezvous)
    for module in changed:
        monkeypatch.setattr(module, "TCPStore", dist.TCPStore)
    elastic.use_available_stores()
    assert isinstance(dist.TCPStore, type)  # unchanged on this system
    monkeypatch.setattr(elastic, "store_options", lambda: {"use_libuv": False})
    elastic.use_available_stores()
    for module in changed:
        store = module.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        assert not store.libuvBackend


def test_an_error_of_torchrun_is_one_line_without_control_characters(monkeypatch, capsys):
    def fail(arguments):
        raise ValueError("x\x1b[2J\ny")

    monkeypatch.setattr(elastic.run, "run", fail)
    monkeypatch.setattr(api, "LocalElasticAgent", api.LocalElasticAgent)
    with pytest.raises(SystemExit):
        elastic.run_agents(["-m", "nothing"])
    assert capsys.readouterr().err == "error: x\\x1b[2J y\n"


def test_an_interrupt_before_the_ranks_start_has_no_traceback(monkeypatch, capsys):
    def interrupt(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(elastic.run, "run", interrupt)
    monkeypatch.setattr(api, "LocalElasticAgent", api.LocalElasticAgent)
    with pytest.raises(SystemExit) as stop:
        elastic.run_agents(["-m", "nothing"])
    assert stop.value.code == 130
    assert capsys.readouterr().err == ""

"""The rendezvous of processes, here threads with separate stores."""

import os
import socket
import sys
import threading
import time

import pytest
import torch.distributed as dist

from vgg_lit.errors import InputError
from vgg_lit.launching import rendezvous
from vgg_lit.launching.rendezvous import JOB, meet
from vgg_lit.system.launch import Launch
from vgg_lit.system.operating_system import store_options

MINUTE = 1.0


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    """Keeps every store alive until the test ends, as processes do."""
    stores = []

    def store(*args, **kwargs):
        stores.append(dist.TCPStore(*args, **kwargs))
        return stores[-1]

    monkeypatch.setattr(rendezvous, "TCPStore", store)
    monkeypatch.setattr(rendezvous, "_store", None)
    return stores


def launched(rank, port, world_size=2, has_store=False):
    return Launch("torchrun", rank, 0, world_size, world_size, "127.0.0.1", port, has_store, True)


def host_store(port):
    """A store in this process, as a launcher has one."""
    options = {"is_master": True, "wait_for_workers": False, **store_options()}
    return dist.TCPStore("127.0.0.1", port, **options)


def nothing(decision):
    return ""


def all_meet(port, decide, objection=nothing, world_size=3, has_store=False):
    """The decision or the error of each process."""
    found = [None] * world_size

    def come(rank):
        try:
            found[rank] = meet(
                launched(rank, port, world_size, has_store), decide, objection, MINUTE
            )
        except InputError as error:
            found[rank] = error

    threads = [threading.Thread(target=come, args=[rank]) for rank in reversed(range(world_size))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


def test_all_ranks_receive_the_decision_of_the_first(port):
    calls = []

    def decide(before):
        calls.append(before)
        return {"run": "logs/x"}

    found = all_meet(port, decide)
    assert calls == [None]
    assert [decision["run"] for decision in found] == ["logs/x"] * 3
    assert len({decision["token"] for decision in found}) == 1
    assert rendezvous.store() is not None


def test_a_refusal_by_the_first_rank_reaches_all(port):
    def decide(before):
        raise InputError("resume=x: no")

    assert [str(error) for error in all_meet(port, decide)] == ["resume=x: no"] * 3


def test_an_objection_by_one_rank_reaches_all(port):
    found = all_meet(port, lambda before: {"run": "x"}, lambda decision: f"not {decision['run']}")
    assert [str(error) for error in found] == ["not x"] * 3


def test_a_store_that_outlives_an_attempt_is_reused_safely(port):
    server = host_store(port)
    server.set("vgg_lit/asks/1", "of an earlier attempt")
    first = all_meet(port, lambda before: {"run": f"after {before}"}, has_store=True)
    second = all_meet(port, lambda before: {"run": f"after {before}"}, has_store=True)
    assert [decision["run"] for decision in first] == ["after None"] * 3
    assert [decision["run"] for decision in second] == ["after after None"] * 3
    assert first[0]["token"] != second[0]["token"]
    assert server.get(f"{JOB}/None") == b"after after None"


def test_the_job_is_recorded_in_the_store_of_the_launcher(port, monkeypatch):
    launcher = host_store(0)
    monkeypatch.setenv("VGG_LIT_JOB_STORE", f"127.0.0.1:{launcher.port}")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "mine")
    all_meet(port, lambda before: {"run": "logs/x"})
    assert launcher.get(f"{JOB}/mine") == b"logs/x"


def test_no_store_needs_libuv_where_there_is_none(port, monkeypatch, kept):
    launcher = host_store(0)
    monkeypatch.setenv("VGG_LIT_JOB_STORE", f"127.0.0.1:{launcher.port}")
    monkeypatch.setattr(rendezvous, "store_options", lambda: {"use_libuv": False})
    all_meet(port, lambda before: {"run": "logs/x"})
    assert len(kept) == 4  # of three ranks, and the client of the launcher's store
    assert not any(store.libuvBackend for store in kept)


def test_a_missing_process_is_reported_after_the_timeout(port):
    start = time.monotonic()
    with pytest.raises(
        InputError, match=r"1 of 2 processes arrived within 0\.01 minutes \(trainer"
    ):
        meet(launched(0, port), lambda before: {"run": "x"}, nothing, 0.01)
    assert time.monotonic() - start < 30


def test_an_unreachable_store_is_reported_after_the_timeout(port):
    with pytest.raises(
        InputError, match=f"127.0.0.1:{port}: cannot be reached .*rendezvous_timeout"
    ):
        meet(launched(1, port), lambda before: {"run": "x"}, nothing, 0.01)


def test_gloo_uses_the_interface_that_routes_to_the_address(monkeypatch):
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    loopback = {"linux": {"lo"}, "darwin": {"lo0", None}}
    assert rendezvous._interface_towards("127.0.0.1") in loopback.get(sys.platform, {None})
    assert rendezvous._interface_towards("nowhere.invalid") is None
    rendezvous.take_interface("127.0.0.1")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth9")
    rendezvous.take_interface("127.0.0.1")
    assert os.environ["GLOO_SOCKET_IFNAME"] == "eth9"

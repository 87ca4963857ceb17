"""Rendezvous of the ranks of several machines through a store of the launcher or of rank 0.

A launcher's store outlives the ranks, so it may still hold keys of an earlier attempt at the same job.
Each rank therefore sends its request under a random key, and rank 0 replies to that key.
"""

import json
import os
import secrets
import socket
import struct
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from torch.distributed import DistError, PrefixStore, Store, TCPStore

from vgg_lit.errors import InputError
from vgg_lit.system.launch import JOB_STORE, Launch, address_towards
from vgg_lit.system.operating_system import GET_ADDRESS, store_options

POLL_SECONDS, LINGER_SECONDS = 0.05, 1.0

JOB = "vgg_lit/job"
"""Key of the run directory, which rank 0 records in the launcher's store for later attempts."""

_store: Store | None = None


def store() -> Store | None:
    """Returns the store that only the ranks of this attempt use; None before the rendezvous."""
    return _store


def meet(
    launch: Launch,
    decide: Callable[[str | None], dict[str, Any]],
    objection: Callable[[dict[str, Any]], str],
    minutes: float,
) -> dict[str, Any]:
    """Waits for all ranks and returns the decision of rank 0.

    Args:
        launch: launch of this process.
        decide: called on rank 0 with the `run` of an earlier attempt at the same job, or None; returns
            the decision.
        objection: called on the other ranks with the decision; returns an error message, or "" to accept.
        minutes: time limit.

    Raises:
        InputError: the address cannot be reached or a rank is missing at the time limit, or a rank
            rejects the decision.
    """
    global _store
    place = f"{launch.address}:{launch.port}"
    deadline = time.monotonic() + 60 * minutes
    hosts = launch.rank == 0 and not launch.has_store
    if not hosts:
        _reach(launch.address, launch.port, deadline, minutes)
    try:
        shared = TCPStore(
            launch.address,
            launch.port,
            is_master=hosts,
            wait_for_workers=False,
            multi_tenant=True,
            timeout=timedelta(seconds=max(1.0, deadline - time.monotonic())),
            **store_options(),
        )
        if launch.rank == 0:
            lasting, job = (
                _store_of_launcher(shared),
                f"{JOB}/{os.environ.get('TORCHELASTIC_RUN_ID')}",
            )
            before = lasting.get(job).decode() if lasting.check([job]) else None
            try:
                decision = decide(before)
                lasting.set(job, decision["run"])
            except InputError as error:
                decision = {"refused": str(error)}
            decision["token"] = secrets.token_hex(8)
            refusal = _answer(shared, launch.world_size, decision, deadline)
            if refusal and hosts:
                time.sleep(LINGER_SECONDS)  # this process hosts the store; the others read it
        else:
            decision, refusal = _ask(shared, launch.rank, objection, deadline)
    except _TimedOut as late:
        raise InputError(
            f"rendezvous at {place}: {late} within {minutes:g} minutes (trainer.rendezvous_timeout)"
        ) from None
    except DistError as error:
        raise InputError(f"rendezvous at {place}: {str(error).splitlines()[0]}") from error
    if refusal:
        raise InputError(refusal)
    _store = PrefixStore(decision["token"], shared)
    return decision


def _store_of_launcher(shared: Store) -> Store:
    """Returns the launcher's store if its address is set, else the given store."""
    host, _, port = os.environ.get(JOB_STORE, "").rpartition(":")
    if not host:
        return shared
    return TCPStore(host, int(port), is_master=False, wait_for_workers=False, **store_options())


class _TimedOut(Exception):
    pass


def _reach(address: str, port: int, deadline: float, minutes: float) -> None:
    """Waits until a process listens at an address; the error of torch's client would be many lines."""
    while True:
        left = deadline - time.monotonic()
        try:
            socket.create_connection((address, port), timeout=max(0.1, min(5.0, left))).close()
            return
        except OSError as error:
            if time.monotonic() + POLL_SECONDS > deadline:
                raise InputError(
                    f"rendezvous at {address}:{port}: cannot be reached within "
                    f"{minutes:g} minutes (trainer.rendezvous_timeout): {error.strerror or error}"
                ) from None
            time.sleep(10 * POLL_SECONDS)


def _answer(shared: Store, world_size: int, decision: dict[str, Any], deadline: float) -> str:
    """Sends the decision to each rank that asks; returns the first objection, or ""."""
    token, answered = decision["token"], dict.fromkeys(range(1, world_size), "")
    missing, refusal = set(answered), decision.get("refused", "")
    while missing:
        for rank in sorted(missing):
            if shared.check([f"{token}/{rank}"]):
                missing.remove(rank)
                refusal = refusal or shared.get(f"{token}/{rank}").decode()
            elif shared.check([f"vgg_lit/asks/{rank}"]):
                name = shared.get(f"vgg_lit/asks/{rank}").decode()
                if name != answered[rank]:  # a name of an earlier attempt is replaced soon
                    shared.set(f"vgg_lit/answers/{name}", json.dumps(decision))
                    answered[rank] = name
        if missing and time.monotonic() > deadline:
            came = world_size - len(missing)
            raise _TimedOut(f"{came} of {world_size} processes arrived")
        time.sleep(POLL_SECONDS)
    shared.set(f"{token}/all", refusal)
    return refusal


def _ask(
    shared: Store, rank: int, objection: Callable[[dict[str, Any]], str], deadline: float
) -> tuple[dict[str, Any], str]:
    """Returns the decision of rank 0 after all ranks have read it, and the first objection, or ""."""
    name = secrets.token_hex(8)
    shared.set(f"vgg_lit/asks/{rank}", name)
    _wait(shared, f"vgg_lit/answers/{name}", deadline, "rank 0 did not arrive")
    decision = json.loads(shared.get(f"vgg_lit/answers/{name}"))
    token = decision["token"]
    shared.set(f"{token}/{rank}", "" if "refused" in decision else objection(decision))
    _wait(shared, f"{token}/all", deadline, "not all processes arrived")
    return decision, shared.get(f"{token}/all").decode()


def _wait(shared: Store, key: str, deadline: float, what: str) -> None:
    while not shared.check([key]):
        if time.monotonic() > deadline:
            raise _TimedOut(what)
        time.sleep(POLL_SECONDS)


def take_interface(address: str) -> None:
    """Makes gloo use the network interface that leads to an address, unless the user has set one.

    Gloo's default is the interface of the host name, which is the loopback on many machines.
    """
    if "GLOO_SOCKET_IFNAME" not in os.environ and (name := _interface_towards(address)):
        os.environ["GLOO_SOCKET_IFNAME"] = name


def _interface_towards(address: str) -> str | None:
    """Returns the name of the interface that sends packets to an IPv4 address; None if unknown."""
    ours = address_towards(address)
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex() if ours else []:
            request = struct.pack("256s", name.encode())
            try:
                answer = fcntl.ioctl(probe.fileno(), GET_ADDRESS, request)
            except OSError:  # the interface has no IPv4 address
                continue
            if socket.inet_ntoa(answer[20:24]) == ours:
                return name
    return None

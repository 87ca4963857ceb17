"""Where the processes of several machines meet: a store that the launcher or the first process keeps.

A launcher's store outlives the processes: what it holds may be of an earlier attempt at the same job. So
each process asks under a name of its own, and the first one answers.
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

POLL_SECONDS, LINGER_SECONDS = 0.05, 1.0

JOB = "vgg_lit/job"
"""What the first process notes for a later attempt at the same job, in a store that outlives it."""

_store: Store | None = None


def store() -> Store | None:
    """Where the processes of this attempt exchange what nobody else reads; None if they have not met."""
    return _store


def meet(
    launch: Launch,
    decide: Callable[[str | None], dict[str, Any]],
    objection: Callable[[dict[str, Any]], str],
    minutes: float,
) -> dict[str, Any]:
    """What the first process decides, once all have come.

    Args:
        launch: of this process.
        decide: called in the first process, with the `run` that an earlier attempt at the same job has
            decided on, if any.
        objection: called in the others with the decision: what speaks against it, or nothing.
        minutes: until all must have come.

    Raises:
        InputError: the place cannot be reached, or a process has not come, in time; or one objects.
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
        )
        if launch.rank == 0:
            lasting, job = _lasting_store(shared), f"{JOB}/{os.environ.get('TORCHELASTIC_RUN_ID')}"
            before = lasting.get(job).decode() if lasting.check([job]) else None
            try:
                decision = decide(before)
                lasting.set(job, decision["run"])
            except InputError as error:
                decision = {"refused": str(error)}
            decision["token"] = secrets.token_hex(8)
            refusal = _answer(shared, launch.world_size, decision, deadline)
            if refusal and hosts:
                time.sleep(LINGER_SECONDS)  # for the others to learn of it from here
        else:
            decision, refusal = _ask(shared, launch.rank, objection, deadline)
    except _Late as late:
        raise InputError(
            f"rendezvous at {place}: {late} after {minutes:g} minutes (trainer.rendezvous_timeout)"
        ) from None
    except DistError as error:
        raise InputError(f"rendezvous at {place}: {str(error).splitlines()[0]}") from error
    if refusal:
        raise InputError(refusal)
    _store = PrefixStore(decision["token"], shared)
    return decision


def _lasting_store(shared: Store) -> Store:
    """The launcher's own store, where it has said which that is."""
    host, _, port = os.environ.get(JOB_STORE, "").rpartition(":")
    if not host:
        return shared
    return TCPStore(host, int(port), is_master=False, wait_for_workers=False)


class _Late(Exception):
    pass


def _reach(address: str, port: int, deadline: float, minutes: float) -> None:
    """Waits until somebody listens; torch's own client would say so in many lines."""
    while True:
        left = deadline - time.monotonic()
        try:
            socket.create_connection((address, port), timeout=max(0.1, min(5.0, left))).close()
            return
        except OSError as error:
            if time.monotonic() + POLL_SECONDS > deadline:
                raise InputError(
                    f"rendezvous at {address}:{port}: cannot be reached ({error.strerror or error}) after "
                    f"{minutes:g} minutes (trainer.rendezvous_timeout)"
                ) from None
            time.sleep(10 * POLL_SECONDS)


def _answer(shared: Store, world_size: int, decision: dict[str, Any], deadline: float) -> str:
    """Gives each process that asks the decision, until all have it; what speaks against it, if anything."""
    token, answered = decision["token"], dict.fromkeys(range(1, world_size), "")
    missing, refusal = set(answered), decision.get("refused", "")
    while missing:
        for rank in sorted(missing):
            if shared.check([f"{token}/{rank}"]):
                missing.remove(rank)
                refusal = refusal or shared.get(f"{token}/{rank}").decode()
            elif shared.check([f"vgg_lit/asks/{rank}"]):
                name = shared.get(f"vgg_lit/asks/{rank}").decode()
                if name != answered[rank]:  # not of an earlier attempt, or soon to be replaced
                    shared.set(f"vgg_lit/answers/{name}", json.dumps(decision))
                    answered[rank] = name
        if missing and time.monotonic() > deadline:
            came = world_size - len(missing)
            raise _Late(f"{came} of {world_size} processes have come")
        time.sleep(POLL_SECONDS)
    shared.set(f"{token}/all", refusal)
    return refusal


def _ask(
    shared: Store, rank: int, objection: Callable[[dict[str, Any]], str], deadline: float
) -> tuple[dict[str, Any], str]:
    """The first process's decision, once all have it, and what speaks against it."""
    name = secrets.token_hex(8)
    shared.set(f"vgg_lit/asks/{rank}", name)
    _wait(shared, f"vgg_lit/answers/{name}", deadline, "the first process has not come")
    decision = json.loads(shared.get(f"vgg_lit/answers/{name}"))
    token = decision["token"]
    shared.set(f"{token}/{rank}", "" if "refused" in decision else objection(decision))
    _wait(shared, f"{token}/all", deadline, "not all processes have come")
    return decision, shared.get(f"{token}/all").decode()


def _wait(shared: Store, key: str, deadline: float, what: str) -> None:
    while not shared.check([key]):
        if time.monotonic() > deadline:
            raise _Late(what)
        time.sleep(POLL_SECONDS)


def take_interface(address: str) -> None:
    """Has gloo use the network interface that leads to an address, unless the user names another.

    Gloo would take the one that the host's own name stands for, which on many machines is the loopback.
    """
    if "GLOO_SOCKET_IFNAME" not in os.environ and (name := _interface_towards(address)):
        os.environ["GLOO_SOCKET_IFNAME"] = name


def _interface_towards(address: str) -> str | None:
    """The interface whose IPv4 address packets to `address` leave from; None if that cannot be told."""
    get_address = 0x8915  # SIOCGIFADDR
    ours = address_towards(address)
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex() if ours else []:
            request = struct.pack("256s", name.encode())
            try:
                answer = fcntl.ioctl(probe.fileno(), get_address, request)
            except OSError:  # it has none
                continue
            if socket.inet_ntoa(answer[20:24]) == ours:
                return name
    return None

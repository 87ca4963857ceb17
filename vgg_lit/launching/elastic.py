"""The agent of `vgg_lit.torchrun`, which starts the ranks of one machine and restarts failed ones."""

import os
import signal
import socket
import sys
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, NoReturn

import torch.distributed as dist
from torch.distributed import run
from torch.distributed.elastic.agent.server.api import RunResult, WorkerState
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.elastic.rendezvous import (
    RendezvousError,
    c10d_rendezvous_backend,
    static_tcp_rendezvous,
)
from torch.distributed.launcher import api

from vgg_lit.errors import EXIT_BAD_INPUT, Preempted, one_line
from vgg_lit.system.early_interrupts import raise_on_interrupt
from vgg_lit.system.launch import JOB_STORE, address_towards
from vgg_lit.system.operating_system import ENDING, ignoring_hangup, store_options
from vgg_lit.system.terminal import visible

FINAL = {EXIT_BAD_INPUT, *(Preempted(signum).exit_code for signum in ENDING)}
"""Exit codes without a restart: input that would fail again, and signals, whose sender decides."""


class Agent(api.LocalElasticAgent):
    """Starts the ranks of one machine; restarts them after a failure, except for exit codes in `FINAL`.

    Attributes:
        ended_by: rank and failure of the process that ended all of them, if they are not restarted.
    """

    ended_by: ClassVar[tuple[int, ProcessFailure] | None] = None

    def _monitor_workers(self, worker_group: Any) -> RunResult:
        result = super()._monitor_workers(worker_group)
        if result.state == WorkerState.FAILED:
            codes = {failure.exitcode for failure in result.failures.values()}
            if codes & FINAL:
                self._remaining_restarts = 0
            if not self._remaining_restarts:
                Agent.ended_by = min(result.failures.items(), key=lambda pair: pair[1].timestamp)
        return result


def complete(arguments: Namespace) -> None:
    """Sets addresses from the rendezvous endpoint that torchrun would derive from the host name."""
    host, _, port = arguments.rdzv_endpoint.rpartition(":")
    if arguments.rdzv_backend != "c10d" or not host or port == "0":
        return
    os.environ[JOB_STORE] = arguments.rdzv_endpoint
    # In torch 2.15 a replacement machine waits forever for the address of the shared store, because
    # the address is published only once.
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    if arguments.local_addr is None:
        arguments.local_addr = address_towards(host)
    if "is_host" not in arguments.rdzv_conf:
        known = [arguments.rdzv_conf] if arguments.rdzv_conf else []
        arguments.rdzv_conf = ",".join([*known, f"is_host={is_local_address(host)}"])


def is_local_address(host: str) -> bool:
    """Returns True if a host is an address of this machine, that is if a socket can be bound to it."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def use_available_stores() -> None:
    """Makes torchrun create its stores with the options that this system needs.

    USE_LIBUV=0 has no effect on these stores in torch 2.15.
    """
    if options := store_options():
        store: Any = partial(dist.TCPStore, **options)
        for module in (dist, c10d_rendezvous_backend, static_tcp_rendezvous):
            module.TCPStore = store  # type: ignore[attr-defined]


def exit_as(rank: int, failure: ProcessFailure) -> NoReturn:
    """Exits with the code of a failed process, which has reported its error unless it was killed."""
    if failure.exitcode < 0:
        print(f"error: process {rank} was killed by {failure.signal_name()}", file=sys.stderr)
    sys.exit(failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode)


def run_agents(typed: Sequence[str]) -> None:
    """Runs torchrun with the arguments of a command line; exits with the code of the first failed process."""
    api.LocalElasticAgent = Agent  # type: ignore[misc]
    use_available_stores()
    arguments = run.parse_args(typed)
    complete(arguments)
    # A training continues when its terminal is closed, as without torchrun.
    handled = [name for name in arguments.signals_to_handle.split(",") if name != "SIGHUP"]
    arguments.signals_to_handle = ",".join(handled)
    raise_on_interrupt()  # torch then closes the rendezvous, also before its handlers are installed
    try:
        with ignoring_hangup():
            run.run(arguments)
    except KeyboardInterrupt:
        sys.exit(Preempted(signal.SIGINT).exit_code)
    except ChildFailedError as error:
        exit_as(*error.get_first_failure())
    except SignalException as stop:
        sys.exit(128 + signal.Signals(stop.sigval))
    except ValueError as error:
        print(f"error: {visible(one_line(error))}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except (RendezvousError, dist.DistError, TimeoutError) as error:
        if Agent.ended_by:  # the machine of the store has ended before this one
            exit_as(*Agent.ended_by)
        place = arguments.rdzv_endpoint or f"{arguments.master_addr}:{arguments.master_port}"
        cause = error.__cause__ or error
        print(f"error: rendezvous at {visible(place)}: {visible(one_line(cause))}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)

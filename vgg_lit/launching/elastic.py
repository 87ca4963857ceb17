"""The agent of `vgg_lit.torchrun`, which starts the ranks of one machine and restarts failed ones."""

import os
import socket
from argparse import Namespace
from typing import Any

from torch.distributed.elastic.agent.server.api import RunResult, WorkerState
from torch.distributed.launcher import api

from vgg_lit.errors import EXIT_BAD_INPUT, Preempted
from vgg_lit.system.ending_signals import ENDING
from vgg_lit.system.launch import JOB_STORE, address_towards

FINAL = {EXIT_BAD_INPUT, *(Preempted(signum).exit_code for signum in ENDING)}
"""Exit codes without a restart: input that would fail again, and signals, whose sender decides."""


class Agent(api.LocalElasticAgent):
    """Starts the ranks of one machine; restarts them after a failure, except for exit codes in `FINAL`."""

    def _monitor_workers(self, worker_group: Any) -> RunResult:
        result = super()._monitor_workers(worker_group)
        codes = {failure.exitcode for failure in result.failures.values()}
        if result.state == WorkerState.FAILED and codes & FINAL:
            self._remaining_restarts = 0
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

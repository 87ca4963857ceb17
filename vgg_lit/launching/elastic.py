"""The agent of `vgg_lit.torchrun`: starts the ranks of one machine, and knows which failures are final."""

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
"""Exit codes after which another attempt would come to the same, or is for whoever sent the signal."""


class Agent(api.LocalElasticAgent):
    """Starts the processes of one machine, again if they fail, but not those that end as they should."""

    def _monitor_workers(self, worker_group: Any) -> RunResult:
        result = super()._monitor_workers(worker_group)
        codes = {failure.exitcode for failure in result.failures.values()}
        if result.state == WorkerState.FAILED and codes & FINAL:
            self._remaining_restarts = 0
        return result


def complete(arguments: Namespace) -> None:
    """Adds what torchrun would conclude from this machine's name, where the endpoint says it."""
    host, _, port = arguments.rdzv_endpoint.rpartition(":")
    if arguments.rdzv_backend != "c10d" or not host or port == "0":
        return
    os.environ[JOB_STORE] = arguments.rdzv_endpoint
    # In torch 2.15 a machine that takes another's place waits in vain for the address of the store that
    # the processes share, which is told once.
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    if arguments.local_addr is None:
        arguments.local_addr = address_towards(host)
    if "is_host" not in arguments.rdzv_conf:
        known = [arguments.rdzv_conf] if arguments.rdzv_conf else []
        arguments.rdzv_conf = ",".join([*known, f"is_host={is_ours(host)}"])


def is_ours(host: str) -> bool:
    """Whether an address is one of this machine's: only then can a socket be bound to it."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True

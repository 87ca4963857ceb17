r"""torchrun in which what goes wrong is one line, and whose exit code is that of the process it happened to.

python -m vgg_lit.torchrun --nnodes=2 --nproc-per-node=4 --rdzv-backend=c10d --rdzv-endpoint=node0:29500 \
    --max-restarts=3 -m vgg_lit.train trainer=multinode

The options are torchrun's own. Neither bad input nor a run that a signal has ended, its work saved, is tried
again, however many restarts there are left. Which machine keeps the store of the rendezvous, and by which address the others find this one, is told by the
network rather than by the machine's own name.
"""

import logging
import os
import signal
import socket
import sys
from argparse import Namespace
from typing import Any

from vgg_lit.errors import EXIT_BAD_INPUT, Preempted
from vgg_lit.processes.ending_signals import ENDING
from vgg_lit.processes.launch import JOB_STORE, address_towards
from vgg_lit.targets import one_line

# Of a place it cannot reach torch's own client would say so in many lines; this is read as torch is imported.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")

import torch.distributed as dist
from torch.distributed import run
from torch.distributed.elastic.agent.server.api import RunResult, WorkerState
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.launcher import api

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


def main() -> None:
    """Runs torchrun with the arguments of this command."""
    if os.environ["TORCH_CPP_LOG_LEVEL"] == "FATAL":
        del os.environ["TORCH_CPP_LOG_LEVEL"]  # the processes that are started say what they like
    logging.disable(logging.CRITICAL)
    api.LocalElasticAgent = Agent  # type: ignore[misc]
    arguments = run.parse_args(sys.argv[1:])
    complete(arguments)
    try:
        run.run(arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            print(f"error: process {rank} was killed by {failure.signal_name()}", file=sys.stderr)
        sys.exit(failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode)
    except SignalException as stop:
        sys.exit(128 + signal.Signals(stop.sigval))
    except ValueError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except (RendezvousError, dist.DistError, TimeoutError) as error:
        place = arguments.rdzv_endpoint or f"{arguments.master_addr}:{arguments.master_port}"
        cause = error.__cause__ or error
        print(f"error: rendezvous at {place}: {one_line(cause)}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)


if __name__ == "__main__":
    main()

r"""Starts processes as torchrun does, with one-line errors.

python -m vgg_lit.torchrun --nnodes=2 --nproc-per-node=4 --rdzv-backend=c10d --rdzv-endpoint=node0:29500 \
    --max-restarts=3 -m vgg_lit.train trainer=multinode

It takes torchrun's options. A run is not restarted after bad input, nor after a signal has ended it and its
work is saved, even if restarts are left. The host of the rendezvous store and the address of this machine are
determined from the network, not from the machine's hostname.
"""

import logging
import os
import signal
import sys

from vgg_lit.errors import EXIT_BAD_INPUT, one_line

# Silences the many lines of torch's client about an unreachable endpoint; torch reads this at import.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")

import torch.distributed as dist
from torch.distributed import run
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.launcher import api

from vgg_lit.launching.elastic import Agent, complete
from vgg_lit.system.output import guard_output, ignoring_hangup


def main() -> None:
    """Runs torchrun with the arguments of this command."""
    if os.environ["TORCH_CPP_LOG_LEVEL"] == "FATAL":
        del os.environ["TORCH_CPP_LOG_LEVEL"]  # the started processes log as usual
    logging.disable(logging.CRITICAL)
    guard_output(is_needed=False)
    api.LocalElasticAgent = Agent  # type: ignore[misc]
    arguments = run.parse_args(sys.argv[1:])
    complete(arguments)
    # A training continues when its terminal is closed, as without torchrun.
    handled = [name for name in arguments.signals_to_handle.split(",") if name != "SIGHUP"]
    arguments.signals_to_handle = ",".join(handled)
    try:
        with ignoring_hangup():
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

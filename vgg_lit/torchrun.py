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
import sys

from vgg_lit.errors import EXIT_BAD_INPUT, one_line

# Of a place it cannot reach torch's own client would say so in many lines; this is read as torch is imported.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")

import torch.distributed as dist
from torch.distributed import run
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.launcher import api

from vgg_lit.launching.elastic import Agent, complete


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

r"""Starts processes as torchrun does, with one-line errors.

python -m vgg_lit.torchrun --nnodes=2 --nproc-per-node=4 --rdzv-backend=c10d --rdzv-endpoint=node0:29500 \
    --max-restarts=3 -m vgg_lit.train trainer=multinode

It takes torchrun's options. A run is not restarted after bad input, nor after a signal has ended it and its
work is saved, even if restarts are left. The host of the rendezvous store and the address of this machine are
determined from the network, not from the machine's hostname.
"""

import logging
import os
import sys

from vgg_lit.system.first_line import announce_torch
from vgg_lit.system.output import guard_output


def main() -> None:
    """Runs torchrun with the arguments of this command."""
    guard_output(is_needed=False)
    announce_torch("torchrun")
    level = os.environ.get("TORCH_CPP_LOG_LEVEL")
    # Silences the many lines of torch's client about an unreachable endpoint; torch reads this at import.
    os.environ["TORCH_CPP_LOG_LEVEL"] = level or "FATAL"
    from vgg_lit.launching.elastic import run_agents

    if not level:
        del os.environ["TORCH_CPP_LOG_LEVEL"]  # the started processes log as usual
    logging.disable(logging.CRITICAL)
    run_agents(sys.argv[1:])


if __name__ == "__main__":
    main()

"""Trains a network and tests it.

python -m vgg_lit.train                                        # the embedded sample, a minute
python -m vgg_lit.train model=vgg19_bn data=fashion_mnist trainer.devices=2
python -m vgg_lit.train -m model=vgg11_bn,vgg13_bn seed=0,1    # a sweep
python -m vgg_lit.train resume=logs/runs/vgg11_bn/2026-01-31_12-00-00_1f3a
python -m vgg_lit.train seed=1 resume=auto                     # the last run of these settings, or a new one

In Python, this module is also a function: vgg_lit.train("model=vgg16_bn", seed=1) trains and returns the run.
"""

import sys

from vgg_lit.callable_commands import CallableModule
from vgg_lit.config.command import run_verb
from vgg_lit.training.starting import prepare
from vgg_lit.training_task import train

sys.modules[__name__].__class__ = CallableModule


def main() -> None:
    """Runs the console script `vgg-train`."""
    run_verb(train, "train", prepare, needs_output=False)


if __name__ == "__main__":
    main()

"""Optimisers and learning rate schedules.

An optimiser is any `torch.optim` class, `Muon` or `MuonAdamW`. A schedule is one of the functions below, or a custom one
with the same signature; see `vgg_lit.optim.schedules`.
"""

from vgg_lit.optim.building import (
    build_optimizer,
    build_scheduler,
    check_optimizer,
    fix_finished_layers,
    parameter_groups,
)
from vgg_lit.optim.muon import Muon, MuonAdamW
from vgg_lit.optim.schedules import (
    Steps,
    constant,
    cosine,
    cosine_restarts,
    linear,
    multistep,
    one_cycle,
    plateau,
    polynomial,
    step,
)

__all__ = [
    "Muon",
    "MuonAdamW",
    "Steps",
    "build_optimizer",
    "build_scheduler",
    "check_optimizer",
    "constant",
    "cosine",
    "cosine_restarts",
    "fix_finished_layers",
    "linear",
    "multistep",
    "one_cycle",
    "parameter_groups",
    "plateau",
    "polynomial",
    "step",
]

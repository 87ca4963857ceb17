"""What a config computes: new directories, and what depends on this machine or its launcher."""

import secrets
from collections.abc import Sequence
from datetime import datetime

from omegaconf import OmegaConf

from vgg_lit.system.launch import launched


def register_resolvers() -> None:
    """Makes `${run_dir:...}`, `${launched:...}` and what else the configs compute known to them."""
    OmegaConf.register_new_resolver("ceil_div", ceil_div, replace=True)
    OmegaConf.register_new_resolver("gpus_a_job", gpus_a_job, replace=True)
    OmegaConf.register_new_resolver("launched", launched, replace=True)
    OmegaConf.register_new_resolver("run_dir", run_dir, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("study_dir", study_dir, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("sweep_dir", sweep_dir, use_cache=True, replace=True)


def ceil_div(number: int, divisor: int) -> int:
    """A share of a number of epochs, at least one."""
    return -(-number // divisor)


def run_dir(resumed: str | None, *names: str | None) -> str:
    """A new run's directory, after the first name that is set; or the one that is resumed."""
    return resumed or f"logs/runs/{_first(names)}/{_now()}"


def sweep_dir(*names: str | None) -> str:
    """A new sweep's directory."""
    return f"logs/sweeps/{_first(names)}/{_now()}"


def study_dir(name: str | None, *names: str | None) -> str:
    """The directory of the study with a name; of one without, a new directory."""
    return f"logs/tune/{name}" if name else f"logs/tune/{_first(names)}/{_now()}"


def gpus_a_job() -> int:
    """What a job of a sweep asks its launcher for: a GPU, if this machine has any."""
    import torch

    return int(torch.cuda.is_available())


def _first(names: Sequence[str | None]) -> str:
    return next(name for name in names if name)


def _now() -> str:
    """The time and four random hex digits: two runs of the same second share no directory."""
    return f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{secrets.token_hex(2)}"

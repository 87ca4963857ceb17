"""OmegaConf resolvers: new directories, and values that depend on this machine or its launcher."""

import secrets
from collections.abc import Sequence
from datetime import datetime

from vgg_lit.config.hydra_versions import register_resolver
from vgg_lit.system.launch import launched


def register_resolvers() -> None:
    """Registers the resolvers of the configs, such as `${run_dir:...}` and `${launched:...}`."""
    register_resolver("ceil_div", ceil_div, replace=True)
    register_resolver("gpus_a_job", gpus_a_job, replace=True)
    register_resolver("launched", launched, replace=True)
    register_resolver("run_dir", run_dir, use_cache=True, replace=True)
    register_resolver("study_dir", study_dir, use_cache=True, replace=True)
    register_resolver("sweep_dir", sweep_dir, use_cache=True, replace=True)


def ceil_div(number: int, divisor: int) -> int:
    """Returns the quotient, rounded up: a share of a number of epochs, at least one."""
    return -(-number // divisor)


def run_dir(resumed: str | None, *names: str | None) -> str:
    """Returns the resumed directory, or else a new one named after the first name that is set."""
    return resumed or f"logs/runs/{_first(names)}/{_now()}"


def sweep_dir(*names: str | None) -> str:
    """Returns a new directory for a sweep."""
    return f"logs/sweeps/{_first(names)}/{_now()}"


def study_dir(name: str | None, *names: str | None) -> str:
    """Returns the directory of a named study, or a new directory for a study without a name."""
    return f"logs/tune/{name}" if name else f"logs/tune/{_first(names)}/{_now()}"


def gpus_a_job() -> int:
    """Returns the number of GPUs of a sweep's job: 1 if this machine has any, otherwise 0."""
    import torch

    return int(torch.cuda.is_available())


def _first(names: Sequence[str | None]) -> str:
    return next(name for name in names if name)


def _now() -> str:
    """Returns the time and four random hex digits, so that runs of the same second do not collide."""
    return f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{secrets.token_hex(2)}"

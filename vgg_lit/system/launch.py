"""Detection of torchrun and srun from environment variables.

This module does not import torch, so that a mismatch is reported before anything else starts.
"""

import os
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from vgg_lit.errors import ConfigError, InputError

FIRST_PROCESS = "VGG_LIT_MAIN_PROCESS"
"""Environment variable with the process ID of rank 0, which identifies the run in `status.json`."""

STARTS_RANKS = "VGG_LIT_STARTS_RANKS"
"""Environment variable that a first process sets for the ranks that it starts, beside LOCAL_RANK."""

JOB_STORE = "VGG_LIT_JOB_STORE"
"""Environment variable with the address (host:port) of torchrun's store, which outlives the ranks."""

SWEEP_JOB = "VGG_LIT_SWEEP_JOB"
"""Environment variable that is set in jobs of a sweep; their standard input closes with the sweep."""

FIRST_PORT, JOB_DIGITS = 15_000, 4
"""The rendezvous port of a SLURM job is `FIRST_PORT` plus the last `JOB_DIGITS` digits of its ID."""


class Launch(NamedTuple):
    """The ranks that a launcher has started, and this rank.

    Attributes:
        launcher: name of the launcher; "torchrun" covers every launcher that sets RANK and WORLD_SIZE.
        rank: rank of this process over all nodes.
        local_rank: rank of this process on its node.
        world_size: number of processes on all nodes.
        num_nodes: number of nodes.
        address: address of the rendezvous.
        port: port of the rendezvous.
        has_store: True if the launcher hosts the store of the rendezvous; else rank 0 hosts it.
        restarts: True if the launcher may restart the processes.
    """

    launcher: Literal["torchrun", "srun"]
    rank: int
    local_rank: int
    world_size: int
    num_nodes: int
    address: str
    port: int
    has_store: bool
    restarts: bool

    @property
    def processes_per_node(self) -> int:
        """The number of processes on each node."""
        return self.world_size // self.num_nodes


def detect() -> Launch | None:
    """Returns the launch of this process; None if it was not started by torchrun or srun.

    Processes that a batch script or an interactive SLURM shell starts without srun are not counted.

    Raises:
        InputError: environment variables are invalid or contradict each other.
    """
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        world_size = _number("WORLD_SIZE")
        local_size = _number("LOCAL_WORLD_SIZE", 1)
        return _checked(
            Launch(
                "torchrun",
                rank=_number("RANK"),
                local_rank=_number("LOCAL_RANK", 0),
                world_size=world_size,
                num_nodes=_number("GROUP_WORLD_SIZE", max(1, world_size // max(1, local_size))),
                address=os.environ.get("MASTER_ADDR", "127.0.0.1"),
                port=_number("MASTER_PORT", 29500),
                has_store=os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
                restarts="TORCHELASTIC_RUN_ID" in os.environ,
            ),
            f"WORLD_SIZE={world_size}, LOCAL_WORLD_SIZE={local_size}",
            local_size,
        )
    if _is_task_of_srun():
        world_size, num_nodes = _number("SLURM_NTASKS"), _number("SLURM_NNODES", 1)
        job = os.environ.get("SLURM_JOB_ID", "0")[-JOB_DIGITS:]
        nodes = os.environ.get("SLURM_STEP_NODELIST") or os.environ.get("SLURM_NODELIST", "")
        return _checked(
            Launch(
                "srun",
                rank=_number("SLURM_PROCID"),
                local_rank=_number("SLURM_LOCALID", 0),
                world_size=world_size,
                num_nodes=num_nodes,
                address=os.environ.get("MASTER_ADDR") or first_host(nodes) or "127.0.0.1",
                port=_number("MASTER_PORT", FIRST_PORT + int(job) if job.isdigit() else FIRST_PORT),
                has_store=False,
                restarts=False,
            ),
            f"SLURM_NTASKS={world_size}, SLURM_NNODES={num_nodes}",
            _number("SLURM_NTASKS_PER_NODE", world_size // max(1, num_nodes)),
        )
    return None


def _is_task_of_srun() -> bool:
    is_shell = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    tasks = os.environ.get("SLURM_NTASKS")
    is_step = "SLURM_STEP_ID" in os.environ and "SLURM_PROCID" in os.environ
    return is_step and tasks is not None and not (is_shell and tasks == "1")


def _number(name: str, default: int | None = None) -> int:
    text = os.environ.get(name)
    if text is None and default is not None:
        return default
    if text is None or not text.isdecimal():
        raise InputError(f"{name}={text or ''}: the launcher must set this variable to a number")
    return int(text)


def _checked(launch: Launch, sizes: str, local_size: int) -> Launch:
    if launch.world_size < 1 or local_size * launch.num_nodes != launch.world_size:
        raise InputError(
            f"{sizes}: {launch.launcher} must start the same number of processes on each of "
            f"{launch.num_nodes} nodes"
        )
    if launch.rank >= launch.world_size or launch.local_rank >= local_size:
        raise InputError(
            f"{sizes}: rank {launch.rank} or local rank {launch.local_rank} is out of range"
        )
    return launch


def first_host(nodes: str) -> str:
    """Returns the first host of a SLURM node list such as `node[07-12,20],login`."""
    match = re.match(r"([^\[,\s]+)(?:\[([^\],-]+)[^\]]*\]([^,\s]*))?", nodes.strip())
    return "".join(part or "" for part in match.groups()) if match else ""


def address_towards(host: str) -> str | None:
    """Returns the IPv4 address of this machine on the route to a host; None if there is no route."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 1))  # a datagram socket sends nothing here
            return probe.getsockname()[0]
    except OSError:
        return None


def drop_left_over_rank() -> None:
    """Removes LOCAL_RANK of an earlier launcher from the environment, as a shell may have it.

    Without this, the process takes itself for a rank and waits for a first process.
    """
    is_of_launcher = {"RANK", "WORLD_SIZE"} <= os.environ.keys() or _is_task_of_srun()
    if not is_of_launcher and STARTS_RANKS not in os.environ:
        os.environ.pop("LOCAL_RANK", None)


def rank() -> int:
    """Returns the rank of this process over all nodes; 0 for a single process."""
    launch = detect()
    return launch.rank if launch else int(os.environ.get("LOCAL_RANK", 0))


def prints_errors() -> bool:
    """Returns True if this process prints errors that all processes of its node share.

    It is local rank 0. All tasks of srun share a terminal; before the rendezvous it is therefore the
    task with rank 0. If the launcher's variables are invalid, every process prints its error: the ranks may
    be wrong too.
    """
    try:
        detect()
    except InputError:
        return True
    name = "LOCAL_RANK"
    if name not in os.environ and _is_task_of_srun():
        name = "SLURM_LOCALID" if FIRST_PROCESS in os.environ else "SLURM_PROCID"
    return os.environ.get(name, "0") == "0"


def launched(what: str) -> int:
    """Returns the launcher's number of `nodes`, or of `processes` on each; 1 without a launcher."""
    launch = detect()
    if launch is None:
        return 1
    return {"nodes": launch.num_nodes, "processes": launch.processes_per_node}[what]


def sees_own_device(available: int) -> bool:
    """Returns True if each task of srun sees only its own GPU, as with `--gpus-per-task=1`.

    Args:
        available: number of GPUs that this process sees.
    """
    launch = detect()
    if launch is None or launch.launcher != "srun":
        return False
    return available == 1 and launch.processes_per_node > 1


def check_launch(num_nodes: int, devices: int | str | Sequence[int]) -> None:
    """Checks the nodes and devices of a config against the processes that were started.

    Args:
        num_nodes: `trainer.num_nodes`.
        devices: `trainer.devices`; `auto` matches any number.

    Raises:
        ConfigError: the numbers differ, or several nodes are set without a launcher.
    """
    launch = detect()
    if launch is None:
        if num_nodes > 1:
            raise ConfigError(
                f"trainer.num_nodes={num_nodes}: several nodes need torchrun or srun to start the "
                "processes; allowed without: 1"
            )
        return
    remedy = "set trainer=multinode to read both from the environment"
    if num_nodes != launch.num_nodes:
        raise ConfigError(
            f"trainer.num_nodes={num_nodes}: {launch.launcher} has started {launch.num_nodes} "
            f"node{'s' * (launch.num_nodes > 1)} with {launch.processes_per_node} "
            f"process{'es' * (launch.processes_per_node > 1)} each; {remedy}"
        )
    wanted = devices if isinstance(devices, int) else None
    if not isinstance(devices, int | str):
        wanted = len(devices)
    if wanted is not None and wanted != launch.processes_per_node:
        raise ConfigError(
            f"trainer.devices={wanted}: {launch.launcher} has started "
            f"{launch.processes_per_node} process{'es' * (launch.processes_per_node > 1)} on each node; "
            f"{remedy}"
        )


def launcher_changes(trainer: Mapping[str, Any]) -> dict[str, int]:
    """Returns the `trainer` keys of a run that differ under the current launcher, with the new values."""
    launch = detect()
    if launch is None:
        return {}
    now = {"num_nodes": launch.num_nodes, "devices": launch.processes_per_node}
    return {key: value for key, value in now.items() if trainer.get(key) != value}


def announce_first_process() -> None:
    """Passes the process ID of this process, as in `status.json`, to the ranks that it starts."""
    os.environ[FIRST_PROCESS] = str(os.getpid())

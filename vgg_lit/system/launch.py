"""How this process was started: by itself, or as one of many by torchrun or srun.

Only the environment says so, and nothing here imports torch: what does not fit is told before anything
else happens.
"""

import os
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from vgg_lit.errors import ConfigError, InputError

FIRST_PROCESS = "VGG_LIT_MAIN_PROCESS"
"""Tells every process of a run the number of the first one, by which `status.json` knows the run."""

JOB_STORE = "VGG_LIT_JOB_STORE"
"""Tells the processes that torchrun starts where its own store is, host:port, which outlives them."""

SWEEP_JOB = "VGG_LIT_SWEEP_JOB"
"""Set in the environment of a sweep's jobs, whose standard input is closed when the sweep ends."""

FIRST_PORT, JOB_DIGITS = 15_000, 4
"""Where the processes of a SLURM job meet: the port is this and the last digits of the job's number."""


class Launch(NamedTuple):
    """What a launcher says of the processes it has started, and of this one.

    Attributes:
        launcher: torchrun stands for everything that sets torch's variables RANK, WORLD_SIZE, ...
        rank: of this process, over all nodes.
        local_rank: on its node.
        world_size: processes on all nodes.
        num_nodes: machines.
        address: of the machine where the processes meet.
        port: there.
        has_store: whether the launcher keeps a store there; else the first process does.
        restarts: whether the launcher may start the processes again.
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
        """On each machine."""
        return self.world_size // self.num_nodes


def detect() -> Launch | None:
    """What the environment says; None if this process was not started by torchrun or srun.

    A batch script's own processes are none of srun's, nor are those of an interactive shell.

    Raises:
        InputError: the environment contradicts itself.
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
        raise InputError(f"{name}={text or ''}: the launcher's environment should have a number")
    return int(text)


def _checked(launch: Launch, sizes: str, local_size: int) -> Launch:
    if launch.world_size < 1 or local_size * launch.num_nodes != launch.world_size:
        raise InputError(
            f"{sizes}: {launch.launcher} should start as many processes on each of "
            f"{launch.num_nodes} nodes"
        )
    if launch.rank >= launch.world_size or launch.local_rank >= local_size:
        raise InputError(
            f"{sizes}: there is no rank {launch.rank}, local rank {launch.local_rank}, among these"
        )
    return launch


def first_host(nodes: str) -> str:
    """The first of SLURM's list of nodes, such as `node[07-12,20],login`."""
    match = re.match(r"([^\[,\s]+)(?:\[([^\],-]+)[^\]]*\]([^,\s]*))?", nodes.strip())
    return "".join(part or "" for part in match.groups()) if match else ""


def address_towards(host: str) -> str | None:
    """This machine's IPv4 address from which packets to `host` leave; None if there is no way there."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 1))  # of a datagram socket: nothing is sent
            return probe.getsockname()[0]
    except OSError:
        return None


def rank() -> int:
    """Of this process over all machines; 0 if it is alone."""
    launch = detect()
    return launch.rank if launch else int(os.environ.get("LOCAL_RANK", 0))


def speaks() -> bool:
    """Whether what all processes of a machine find alike is for this one to say.

    The tasks of srun share a terminal: until they have met, all of them find the same.
    """
    name = "LOCAL_RANK"
    if name not in os.environ and _is_task_of_srun():
        name = "SLURM_LOCALID" if FIRST_PROCESS in os.environ else "SLURM_PROCID"
    return os.environ.get(name, "0") == "0"


def launched(what: str) -> int:
    """How many `nodes` a launcher has started processes on, or `processes` on each; 1 without one."""
    launch = detect()
    if launch is None:
        return 1
    return {"nodes": launch.num_nodes, "processes": launch.processes_per_node}[what]


def check_launch(num_nodes: int, devices: int | str | Sequence[int]) -> None:
    """Checks a config's machines and processes against those that were started.

    Args:
        num_nodes: `trainer.num_nodes`.
        devices: `trainer.devices`; `auto` is as many as there are.

    Raises:
        ConfigError: they clash, or nobody has started processes on other machines.
    """
    launch = detect()
    if launch is None:
        if num_nodes > 1:
            raise ConfigError(
                f"trainer.num_nodes={num_nodes}: this process was started by neither torchrun nor srun, "
                "one of which starts those of several machines; allowed without: 1"
            )
        return
    remedy = "trainer=multinode takes both from its environment"
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


def of_launch(trainer: Mapping[str, Any]) -> dict[str, int]:
    """The keys of a run's `trainer` in which the launcher that goes on with it differs, with its values."""
    launch = detect()
    if launch is None:
        return {}
    now = {"num_nodes": launch.num_nodes, "devices": launch.processes_per_node}
    return {key: value for key, value in now.items() if trainer.get(key) != value}


def announce_first_process() -> None:
    """Passes this process's number, which `status.json` records, to the ranks it starts."""
    os.environ[FIRST_PROCESS] = str(os.getpid())

"""Training on two nodes, simulated by network namespaces. All tests are slow and need root."""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from nested_values import assert_same

from vgg_lit.runs import Run

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("ip"),
        reason="network namespaces need root and iproute2",
    ),
]

ADDRESSES = {"a": "10.77.0.1", "b": "10.77.0.2"}
PORT = 29400

# Slows down the second epoch so that a fault can hit it.
SLOW = """
import time
import lightning.pytorch as L

class Slow(L.Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        time.sleep(0.5 if trainer.current_epoch == 1 else 0)
"""

SETTINGS = (
    "trainer.max_epochs=3",
    "data.val_fraction=0.02",
    "optimizer.lr=0.01",
    "logger=none",
    "model.head={hidden: [32], dropout: 0.5}",
    "trusted_targets=[slow]",
    "+callbacks.slow._target_=slow.Slow",
)


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def torchrun(restarts=0, endpoint=f"{ADDRESSES['a']}:{PORT}", conf="join_timeout=200"):
    return [
        "vgg_lit.torchrun",
        "--nnodes=2",
        "--nproc-per-node=1",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={endpoint}",
        f"--rdzv-conf={conf}",
        f"--max-restarts={restarts}",
    ]


def plain_torchrun(node):
    """The arguments of torchrun itself, with a static rendezvous."""
    place = [f"--master-addr={ADDRESSES['a']}", f"--master-port={PORT}"]
    number = f"--node-rank={sorted(ADDRESSES).index(node)}"
    return ["torch.distributed.run", "--nnodes=2", number, "--nproc-per-node=1", *place]


class Nodes:
    """Two network namespaces joined by a veth pair."""

    def __init__(self, folder, tiny):
        self.folder, self.tiny = folder, tiny
        self.started = []
        (folder / "slow.py").write_text(SLOW)
        for node in ADDRESSES:
            ip("netns", "add", self.space(node))
        ends = [["name", f"vgg_{node}", "netns", self.space(node)] for node in ADDRESSES]
        ip("link", "add", *ends[0], "type", "veth", "peer", *ends[1])
        for node, address in ADDRESSES.items():
            ip("-n", self.space(node), "addr", "add", f"{address}/24", "dev", f"vgg_{node}")
            ip("-n", self.space(node), "link", "set", "lo", "up")
        self.connect("up")

    def close(self):
        for node in ADDRESSES:
            self.kill(node)
        for process in self.started:
            process.wait()
        for node in ADDRESSES:
            ip("netns", "delete", self.space(node))

    @staticmethod
    def space(node):
        return f"vgg_{os.getpid()}_{node}"

    def connect(self, state):
        for node in ADDRESSES:
            ip("-n", self.space(node), "link", "set", f"vgg_{node}", state)

    def pids(self, node):
        return [int(pid) for pid in ip("netns", "pids", self.space(node)).split()]

    def kill(self, node):
        """Kills every process of a node, as a power failure would."""
        while pids := self.pids(node):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.2)

    def start(self, node, *overrides, launcher=(), **options):
        """Starts `train` on a node, with our torchrun wrapper unless another launcher is given."""
        log = self.folder / f"{node}.log"
        launcher = launcher or torchrun(**options)
        settings = (*self.tiny, *SETTINGS, *overrides)
        with log.open("w") as output:
            process = subprocess.Popen(
                [
                    *("ip", "netns", "exec", self.space(node), sys.executable, "-m", *launcher),
                    *("-m", "vgg_lit.train", "trainer=multinode", *settings),
                ],
                cwd=self.folder,
                env=environment(self.folder),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.started.append(process)
        return process

    def log(self, node):
        """Returns what a node has printed, without the lines before torch is imported."""
        text = (self.folder / f"{node}.log").read_text()
        return re.sub(r"^\w+: loading torch \.\.\.\n", "", text, flags=re.MULTILINE)

    def runs(self, name="runs"):
        return [
            Run(file.parent) for file in sorted(self.folder.glob(f"logs/runs/{name}/*/config.yaml"))
        ]

    def rows(self, name="runs"):
        """The number of finished epochs of the last run of a name."""
        return len(rows(self.runs(name)[-1])) if self.runs(name) else 0


def environment(folder):
    dropped = ("HYDRA_FULL_ERROR", "GLOO_SOCKET_IFNAME")
    inherited = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**inherited, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "OMP_NUM_THREADS": "1"}


def wait_until(condition, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.2)


def rows(run):
    """The rows of metrics.csv without the columns of times."""
    if not run.metrics_file.is_file():
        return []
    with run.metrics_file.open() as lines:
        table = list(csv.DictReader(lines))
    return [{k: v for k, v in row.items() if not k.startswith("throughput")} for row in table]


@pytest.fixture
def nodes(tmp_path, tiny):
    nodes = Nodes(tmp_path, tiny)
    yield nodes
    nodes.close()


@pytest.fixture(scope="session")
def whole(tmp_path_factory, tiny):
    """The run that two processes on one node train."""
    folder = tmp_path_factory.mktemp("one_node")
    (folder / "slow.py").write_text(SLOW)
    command = [sys.executable, "-m", "vgg_lit.train", *tiny, *SETTINGS, "trainer.devices=2"]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (config,) = folder.glob("logs/runs/*/*/config.yaml")
    return Run(config.parent)


def assert_same_run(found, expected):
    assert rows(found) == rows(expected)
    assert len(rows(expected)) == 3
    for name in ("last", "best"):
        ours, theirs = (
            torch.load(run.checkpoint(name), weights_only=True) for run in (found, expected)
        )
        for part in ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers"):
            assert_same(ours[part], theirs[part], f"{name}.{part}")
    tested, untested = (
        {k: v for k, v in run.metrics.items() if k.startswith("test/")} for run in (found, expected)
    )
    assert tested == untested


def test_two_nodes_match_two_processes_on_one_node(nodes, whole):
    processes = [nodes.start(node, "name=runs") for node in "ab"]
    assert [process.wait(300) for process in processes] == [0, 0], nodes.log("a") + nodes.log("b")
    (run,) = nodes.runs()
    assert (run.config["trainer"]["num_nodes"], run.config["trainer"]["devices"]) == (2, 1)
    assert_same_run(run, whole)
    assert nodes.log("a").count("epoch 1/3") + nodes.log("b").count("epoch 1/3") == 1


def test_two_nodes_match_with_plain_torchrun(nodes, whole):
    processes = [nodes.start(node, "name=runs", launcher=plain_torchrun(node)) for node in "ab"]
    assert [process.wait(300) for process in processes] == [0, 0], nodes.log("a") + nodes.log("b")
    (run,) = nodes.runs()
    assert_same_run(run, whole)


def test_a_killed_node_ends_the_other_and_the_run_resumes(nodes, whole):
    arguments = ("name=runs", "resume=auto", "trainer.process_timeout=0.1")
    survivor, _ = [nodes.start(node, *arguments) for node in "ab"]
    wait_until(lambda: nodes.rows() == 1)
    nodes.kill("b")
    start = time.monotonic()
    assert survivor.wait(200) == 1, nodes.log("a")
    assert time.monotonic() - start < 120
    errors = re.findall(r"^error: .*", nodes.log("a"), re.MULTILINE)
    assert len(errors) == 1, nodes.log("a")
    assert "another process does not respond" in errors[0]
    processes = [nodes.start(node, *arguments) for node in "ab"]
    assert [process.wait(300) for process in processes] == [0, 0], nodes.log("a") + nodes.log("b")
    (run,) = nodes.runs()
    assert_same_run(run, whole)


@pytest.mark.parametrize("what", ["process", "node"])
def test_torchrun_restarts_resume_the_run(what, nodes, whole):
    arguments = ("name=runs", "trainer.process_timeout=0.1")
    processes = [nodes.start(node, *arguments, restarts=3) for node in "ab"]
    wait_until(lambda: nodes.rows() == 1)
    if what == "process":
        os.kill(max(nodes.pids("b")), signal.SIGKILL)  # the process started last
    else:
        nodes.kill("b")
        processes[1] = nodes.start("b", *arguments, restarts=3)  # as a cluster scheduler would
    assert [process.wait(400) for process in processes] == [0, 0], nodes.log("a") + nodes.log("b")
    (run,) = nodes.runs()
    assert_same_run(run, whole)


def test_a_signal_to_one_node_saves_and_ends_both(nodes, whole):
    arguments = ("name=runs", "resume=auto")
    processes = [nodes.start(node, *arguments, restarts=3) for node in "ab"]
    wait_until(lambda: nodes.rows() == 1)
    processes[1].send_signal(signal.SIGTERM)
    assert [process.wait(200) for process in processes] == [143, 143], nodes.log("a")
    (run,) = nodes.runs()
    assert run.status["status"] == "preempted"
    processes = [nodes.start(node, *arguments) for node in "ab"]
    assert [process.wait(300) for process in processes] == [0, 0], nodes.log("a") + nodes.log("b")
    assert_same_run(run, whole)


def test_a_link_down_for_half_a_minute_ends_both_nodes(nodes, whole):
    arguments = ("name=runs", "resume=auto", "trainer.process_timeout=0.1")
    conf = "join_timeout=200,read_timeout=10"
    processes = [nodes.start(node, *arguments, conf=conf) for node in "ab"]
    wait_until(lambda: nodes.rows() == 1)
    nodes.connect("down")
    time.sleep(30)
    nodes.connect("up")
    assert 0 not in [process.wait(120) for process in processes], nodes.log("a") + nodes.log("b")
    assert nodes.pids("a") + nodes.pids("b") == []
    processes = [nodes.start(node, *arguments) for node in "ab"]
    assert [process.wait(300) for process in processes] == [0, 0], nodes.log("a") + nodes.log("b")
    (run,) = nodes.runs()
    assert_same_run(run, whole)


def test_a_link_down_for_less_than_the_timeout_is_harmless(nodes, whole):
    processes = [nodes.start(node, "name=runs", "trainer.process_timeout=3") for node in "ab"]
    wait_until(lambda: nodes.rows() == 1)
    nodes.connect("down")
    time.sleep(10)
    nodes.connect("up")
    assert [process.wait(400) for process in processes] == [0, 0], nodes.log("a") + nodes.log("b")
    (run,) = nodes.runs()
    assert_same_run(run, whole)


def test_conflicting_node_counts_are_one_line(nodes):
    processes = [nodes.start(node, "trainer.num_nodes=3", restarts=2) for node in "ab"]
    assert [process.wait(200) for process in processes] == [2, 2]
    for node in "ab":
        assert re.fullmatch(
            r"(\[W[^\n]*\n)*error: trainer\.num_nodes=3: torchrun has started 2 nodes .*\n",
            nodes.log(node),
        )
    assert nodes.runs() == []


def test_other_settings_on_another_node_are_refused(nodes):
    processes = [nodes.start("a", "seed=1"), nodes.start("b", "seed=2")]
    assert [process.wait(200) for process in processes] == [2, 2]
    for node in "ab":
        assert re.search(r"^error: seed=\d \(was \d\) on rank 0; ", nodes.log(node), re.MULTILINE)
    assert nodes.runs() == []


def test_an_unreachable_rendezvous_is_one_line_in_time(nodes):
    process = nodes.start("b", endpoint="10.77.0.9:29400", conf="read_timeout=5,join_timeout=5")
    assert process.wait(300) == 2
    assert re.fullmatch(r"error: rendezvous at 10\.77\.0\.9:29400: .*\n", nodes.log("b"))
    process = nodes.start("a", conf="read_timeout=5,join_timeout=5")  # no other node joins
    assert process.wait(300) == 2
    assert re.fullmatch(r"error: rendezvous at 10\.77\.0\.1:29400: .*\n", nodes.log("a"))

"""Checks of a device against the CPU and of the commands on it, for `gpu.py`.

Shape suffixes: B images of a batch, C channels, H and W height and width, K classes.
"""

import copy
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from training import compose, trainer_for

from vgg_lit.data.draws import Draws
from vgg_lit.targets import instantiate

SMALL = ("data.train_size=256", "data.test_size=64", "model.width=0.125")
"""Overrides of the train command for the runs of the checks."""

NETWORKS = ("vgg13_bn_slim", "vgg16_bn", "vgg11_lrn", "resnet18")
"""The networks whose step is compared with the CPU's."""

TOLERANCE = 1e-3
"""Largest difference of logits and weights in float32, relative to the largest value."""

TIMEOUT = 180
"""Seconds after which a command is ended."""


class Result(NamedTuple):
    """A row of the table: a check or a measurement, its result and its seconds."""

    name: str
    text: str
    seconds: float
    is_ok: bool = True


def checked(name: str, check: Callable[[], str]) -> Result:
    """Runs a check; an error is its result."""
    start, is_ok = time.perf_counter(), True
    try:
        text = check()
    except Exception as error:  # the other checks still run
        text, is_ok = f"FAILED: {type(error).__name__}: {str(error).strip()[-200:]}", False
    return Result(name, " ".join(text.split()), time.perf_counter() - start, is_ok)


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """Returns the largest difference of two tensors, relative to the largest expected value."""
    expected = expected.detach().cpu()
    difference = (found.detach().cpu() - expected).abs().max() / expected.abs().max()
    return float(difference)


def same_draws(device: torch.device) -> str:
    """Compares random draws with those of the CPU, bit by bit."""
    ids = torch.arange(5000)
    here, there = (Draws(3, 7, on) for on in (ids, ids.to(device)))
    for name in ("uniform", "order"):
        assert torch.equal(getattr(there, name)("x").cpu(), getattr(here, name)("x")), name
    assert torch.equal(there.integers("x", 9).cpu(), here.integers("x", 9)), "integers"
    return "equal to the bit"


def same_step(name: str, device: torch.device) -> str:
    """Compares the logits and the weights of an SGD step in float32 with those of the CPU."""
    config = compose(f"model={name}", "data=cifar10", "data.num_classes=10")
    torch.manual_seed(0)
    net = instantiate(config["model"], key="model").train()
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    x_BCHW, labels_B = torch.randn(32, 3, 32, 32), torch.arange(32) % 10
    allowed, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    found = []
    for place in (torch.device("cpu"), device):
        twin = copy.deepcopy(net).to(place)
        optimizer = torch.optim.SGD(twin.parameters(), lr=0.01)
        logits_BK = twin(x_BCHW.to(place))
        F.cross_entropy(logits_BK, labels_B.to(place)).backward()
        optimizer.step()
        weights = torch.cat([weight.detach().flatten().cpu() for weight in twin.parameters()])
        found.append((logits_BK.detach().cpu(), weights))
    torch.backends.cudnn.allow_tf32 = allowed
    (logits, weights), (other_logits, other_weights) = found
    gaps = relative_difference(other_logits, logits), relative_difference(other_weights, weights)
    text = f"logits differ by {gaps[0]:.1e}, weights after a step by {gaps[1]:.1e} of the largest"
    assert max(gaps) < TOLERANCE, text
    return text


class Commands:
    """Runs the commands of vgg_lit in a folder, on one device.

    Args:
        folder: working directory, in which runs are written.
        device: the device.
        has_values: False on a null GPU, whose kernels compute nothing.
    """

    def __init__(self, folder: Path, device: torch.device, has_values: bool = True) -> None:
        self.folder = folder
        self.device = device
        self.has_values = has_values

    def __call__(self, verb: str, *arguments: str, code: int = 0) -> str:
        """Runs a command; returns the last line of its output.

        Raises:
            AssertionError: the exit code is another one than `code`.
        """
        here = Path(__file__).resolve().parent
        inherited = os.environ.get("PYTHONPATH")
        path = os.pathsep.join(filter(None, [inherited, str(here.parent)]))
        done = subprocess.run(
            [sys.executable, "-m", f"vgg_lit.{verb}", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        output = f"{done.stdout}\n{done.stderr}".strip()
        errors = [line for line in output.splitlines() if line.startswith("error: ")]
        shown = errors[0] if errors else output
        assert done.returncode == code, f"exit code {done.returncode}: {shown[-150:]}"
        return output.splitlines()[-1] if output else ""

    def train(self, name: str, *overrides: str, code: int = 0) -> str:
        """Trains a run in the directory `name`."""
        place = (trainer_for(self.device), f"hydra.run.dir={name}", "logger=none")
        return self("train", *place, *overrides, code=code)

    def resumes_to_the_bit(self) -> str:
        """Compares a deterministic training with one that is resumed after its first epoch."""
        settings = ("trainer.deterministic=true", "scheduler=none", "test=false", *SMALL)
        self.train("whole", "trainer.max_epochs=2", *settings)
        self.train("part", "trainer.max_epochs=1", *settings)
        self("train", "resume=part", "trainer.max_epochs=2")
        whole, part = (
            torch.load(self.folder / name / "checkpoints/last.ckpt", weights_only=True)
            for name in ("whole", "part")
        )
        assert whole["global_step"] == part["global_step"]
        if not self.has_values:
            return f"{whole['global_step']} steps; the null GPU has no values to compare"
        different = [
            key
            for key, value in whole["state_dict"].items()
            if not torch.equal(value, part["state_dict"][key])
        ]
        assert not different, f"different weights: {', '.join(different[:3])}"
        return f"weights of {whole['global_step']} steps are equal to the bit"

    def runs_out_of_memory(self) -> str:
        """Trains a network that is larger than the device's memory."""
        large = ("model=vgg19_bn", "data.image_size=512", "data.batch_size=2048")
        line = self.train(
            "large", *large, "data.train_size=4096", "trainer.precision=32-true", code=3
        )
        return f"exit code 3: {line[:80]}"

    def compiles(self, mode: str) -> str:
        """Trains a compiled network."""
        self.train("compiled", f"compile={mode}", "trainer.max_epochs=2", *SMALL)
        return "two epochs"

    def reads_a_run(self, verbs: Sequence[tuple[str, ...]]) -> str:
        """Runs commands that read the run `whole`."""
        for verb, *arguments in verbs:
            self(verb, "run=whole", *arguments)
        return ", ".join(verb for verb, *_ in verbs)

"""Runs the real train command in a separate process and measures its time and memory."""

import csv
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.utilities import rank_zero_only

from vgg_lit.runs import Run
from vgg_lit.system.files import write_text

HERE = Path(__file__).resolve().parent
FIRST_STEP = "first_step.txt"
PEAK = "peak_bytes.txt"


class Measured(L.Callback):
    """A callback that writes the Unix time at the end of the first step, and the peak memory."""

    @rank_zero_only
    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Writes the time after the first step."""
        file = Path(trainer.default_root_dir) / FIRST_STEP
        # a step of accumulated gradients is followed by batches with the same count
        if trainer.global_step == 1 and not file.exists():
            write_text(file, str(time.time()))

    @rank_zero_only
    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Writes the peak memory after training and again after the test."""
        write_text(Path(trainer.default_root_dir) / PEAK, str(_peak_bytes()))


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Attributes:
        run: the run and its directory.
        startup: seconds from the command to the end of the first step.
        peak_bytes: peak resident memory of the process with rank 0.
    """

    run: Run
    startup: float
    peak_bytes: int

    @property
    def images_per_second(self) -> float:
        """Median training throughput over epochs; excludes the first epoch if there are several."""
        with self.run.metrics_file.open(newline="", encoding="utf-8") as lines:
            rates = [float(row["throughput/images_per_second"]) for row in csv.DictReader(lines)]
        return statistics.median(rates[1:] or rates)


def train(path: Path, *overrides: str) -> Finished:
    """Runs `python -m vgg_lit.train <overrides>`; writes its run directory and output to `path`.

    Raises:
        SystemExit: the command failed; the message includes the end of its output.
    """
    path.mkdir(parents=True)
    command = [
        *(sys.executable, "-m", "vgg_lit.train"),
        f"hydra.run.dir={path / 'run'}",
        *overrides,
        "trusted_targets=[train_command,real_images]",
        "+callbacks.measured._target_=train_command.Measured",
    ]
    inherited = os.environ.get("PYTHONPATH")
    python_path = os.pathsep.join(filter(None, [str(HERE), inherited, str(HERE.parent)]))
    printed = path / "printed.txt"
    start = time.time()
    with printed.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": python_path},
            check=False,
        )
    if done.returncode:
        sys.exit(f"failed: {' '.join(command)}\n{printed.read_text(encoding='utf-8')[-2000:]}")
    run = Run(path / "run")
    first_step = float((run.path / FIRST_STEP).read_text())
    return Finished(run, first_step - start, int((run.path / PEAK).read_text()))


def _peak_bytes() -> int:
    """Returns the peak resident memory of this process.

    On Linux, getrusage is not suitable: it includes the parent's memory at the start of the process.
    On Windows, which has neither, it is 0.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        peak = next(
            line
            for line in status.read_text(encoding="utf-8").splitlines()
            if line.startswith("VmHWM")
        )
        return int(peak.split()[1]) * 1024
    if find_spec("resource") is None:
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS

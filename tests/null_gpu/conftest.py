"""A null GPU: a CUDA runtime that counts kernel launches and runs no kernel, on a machine without a GPU.

VGG_LIT_NULL_GPU=<folder> python -m pytest tests/null_gpu
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "VGG_LIT_NULL_GPU"


@pytest.fixture(scope="session")
def null_gpu() -> Callable[..., str]:
    """`null_gpu("script.py", "argument")`: runs Python on the null GPU and returns its output."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"needs a null GPU; set {VARIABLE} to the folder that it was built in")
    if not (Path(folder) / "libnullcuda.so").is_file():
        pytest.skip(f"{VARIABLE}={folder}: no libnullcuda.so there; run its build.sh")

    def run(*command: str, **variables: str) -> str:
        path = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
        # one compile thread: the runtime is not loaded into worker processes
        variables = {"PYTHONPATH": path, "TORCHINDUCTOR_COMPILE_THREADS": "1", **variables}
        done = subprocess.run(
            [Path(folder) / "nullgpu", sys.executable, *command],
            capture_output=True,
            text=True,
            timeout=280,
            env={**os.environ, **variables},
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run

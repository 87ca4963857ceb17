"""The environment of a run: versions, git commit, hardware."""

import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vgg_lit.version import __version__

PACKAGES = ("torch", "torchvision", "lightning", "hydra-core", "torchmetrics", "numpy")


def describe_environment() -> dict[str, Any]:
    """Collects versions, git commit, hardware and command for `environment.json`."""
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "vgg_lit": __version__,
        "python": platform.python_version(),
        "packages": {package: _version(package) for package in PACKAGES},
        "git_commit": _git("rev-parse", "HEAD"),
        "git_is_dirty": bool(_git("status", "--porcelain")),
        "platform": platform.platform(),
        "processor": _processor(),
        "cpu_threads": torch.get_num_threads(),
        "gpus": gpus,
        "host": platform.node(),
        "directory": str(Path.cwd()),
        "command": [sys.executable, *sys.argv],
    }


def _processor() -> str:
    """Returns the CPU's name; `platform.processor()` is empty on many Linux systems."""
    names = re.findall(r"model name\s*: (.+)", _read_text(Path("/proc/cpuinfo")))
    return names[0] if names else platform.processor()


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """Returns git's output for the checkout of this package; None outside a checkout."""
    folder = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

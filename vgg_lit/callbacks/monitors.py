"""The metric that a callback monitors: its value after an epoch, and comparisons of scores.

score = monitored("val/loss", metrics)      # None in an epoch without validation
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vgg_lit.checkpoints.folder import remove_predictions
from vgg_lit.checkpoints.storage import set_aside
from vgg_lit.errors import TrainingError


def monitored(monitor: str, metrics: Mapping[str, float]) -> float | None:
    """Returns the value of the monitored metric; None if the epoch has no validation.

    Raises:
        TrainingError: the epoch was validated, and there is no such metric.
    """
    if monitor not in metrics and any(name.startswith("val/") for name in metrics):
        raise TrainingError(
            f"callbacks.checkpointing.monitor={monitor}: is not a metric of this run; available: "
            f"{', '.join(metrics)}"
        )
    return metrics.get(monitor)


def is_better(score: float, best: float | None, mode: str) -> bool:
    """Returns True if a score is finite and at least as good as the best one so far."""
    if not math.isfinite(score):
        return False
    if best is None:
        return True
    return score >= best if mode == "max" else score <= best


def is_scored_alike(state: Any, monitor: str, mode: str) -> bool:
    """Returns True if the best score in a saved state is that of this monitor, or does not name its own."""
    if not isinstance(state, Mapping):
        return True
    return state.get("monitor", monitor) == monitor and state.get("mode", mode) == mode


def set_aside_best(folder: Path, resumed: str) -> None:
    """Renames `best.ckpt` to `best.ckpt.replaced`, unless the training resumes from it."""
    best = folder / "best.ckpt"
    remove_predictions(folder.parent)
    if best.is_file() and best.resolve() != Path(resumed).resolve():
        set_aside(best, "replaced")

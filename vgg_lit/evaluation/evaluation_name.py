"""The names of the files of an evaluation: by data, split, checkpoint and options.

Evaluations of other images, checkpoints or options have other names, so that none replaces another.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vgg_lit.checkpoints.folder import epoch_without_checkpoint
from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.data.recording import FileSource
from vgg_lit.evaluation.measured_data import MeasuredData
from vgg_lit.evaluation.trained import Trained
from vgg_lit.system.files import shown_path


def evaluation_name(
    measured: MeasuredData,
    trained: Sequence[Trained],
    is_own_data: bool,
    precision: str | None,
    metrics: Mapping[str, Any] | None,
) -> str:
    """Returns the name without an ending, such as `fashion_mnist_sample_test_best-step94`.

    Args:
        measured: the images.
        trained: the networks.
        is_own_data: True if the data are those of the first network's run.
        precision: the requested precision; None: that of the runs.
        metrics: the requested metrics; None: those of the first run.
    """
    checkpoints = [f"{one.checkpoint.stem}-step{one.step}" for one in trained]
    if len(trained) > 1:
        paths = [f"{one.checkpoint.resolve()} {one.step}" for one in trained]
        checkpoints = [f"fusion{len(trained)}-{_digest(paths)}"]
    elif trained[0].checkpoint.parent != trained[0].run.checkpoints:
        checkpoints = [f"{checkpoints[0]}-{_digest(str(trained[0].checkpoint.resolve()))}"]
    options = [precision] if precision else []
    if metrics is not None:
        options.append(f"metrics-{_digest(dict(metrics))}")
    parts = [_data_name(measured, is_own_data), measured.asked, *checkpoints, *options]
    return "_".join(re.sub(r"[^\w.-]", "-", part) for part in parts)


def is_of_run(
    trained: Sequence[Trained],
    is_own_data: bool,
    precision: str | None,
    metrics: Mapping[str, Any] | None,
) -> bool:
    """Returns True if an evaluation is of a run as it is: of its data, best checkpoint and settings.

    It is not if the final metrics are of a checkpoint that was removed.

    `predictions_<split>.csv` of the run has the outcomes of this evaluation alone. The arguments are those of
    `evaluation_name`.
    """
    is_plain = len(trained) == 1 and is_own_data and precision is None and metrics is None
    run = trained[0].run
    is_best = trained[0].checkpoint == run.checkpoint("best")
    return is_plain and is_best and epoch_without_checkpoint(run.path) is None


def _data_name(measured: MeasuredData, is_own_data: bool) -> str:
    """Returns the name of the data set; for files and for chosen images also a digest of the images."""
    source = measured.datamodule.source
    if not isinstance(measured.datamodule, ImageDataModule):
        return source.name
    images, ids = measured.datamodule.stored(measured.split)
    if images.paths is not None and isinstance(source, FileSource):
        present = source.present_images()
        chosen = [(images.paths[i], present[images.paths[i]]) for i in ids.tolist()]
        folder = Path(getattr(source, "root", "")).name
        return f"{source.name}-{shown_path(folder)[:40]}-{_digest(chosen)}"
    if is_own_data or len(ids) == len(images.labels_N):
        return source.name
    return f"{source.name}-{_digest(ids.tolist())}"


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:8]

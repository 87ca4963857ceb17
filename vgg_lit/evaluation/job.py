"""The evaluate job: loads data and networks, computes and reports scores."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.progress import track

from vgg_lit.checkpoints.folder import checkpoint_text, predictions_file
from vgg_lit.classifier import Classifier
from vgg_lit.errors import TrainingError
from vgg_lit.evaluation.evaluation_name import evaluation_name, is_of_run
from vgg_lit.evaluation.image_outcomes import ImageOutcomes
from vgg_lit.evaluation.matrices import write_matrices
from vgg_lit.evaluation.measured_data import MeasuredData
from vgg_lit.evaluation.score_report import report_scores
from vgg_lit.evaluation.scoring import Member, rows_of, score
from vgg_lit.evaluation.trained import Trained
from vgg_lit.evaluation.views import Views
from vgg_lit.split_metrics import SplitMetrics
from vgg_lit.system.files import write_text
from vgg_lit.system.hardware import resolve_precision
from vgg_lit.system.lightning_internals import quieten_lightning
from vgg_lit.tables import print_facts


def evaluate_networks(
    trained: Sequence[Trained],
    views: Sequence[Views],
    measured: MeasuredData,
    accelerator: str,
    precision: str | None,
    metrics: Mapping[str, Any] | None = None,
    is_own_data: bool = True,
) -> dict[str, float]:
    """Scores networks and, if there are several, their fusion; prints and writes the scores.

    The outcome of each image is written too, for the last row of the scores.

    Args:
        trained: the networks.
        views: sets of views to average.
        measured: the images.
        accelerator: device type in Lightning's terms.
        precision: precision in Lightning's terms; None uses the precision of each network's run.
        metrics: more metrics, as in `conf/metrics`; None: those of the first network's run.
        is_own_data: True if the data is that of the first network's run.

    Returns:
        The metrics of the average over all views and networks, by name.

    Raises:
        InputError: the data cannot be used.
        TrainingError: a score is not finite.
    """
    quieten_lightning()
    datamodule, split = measured.datamodule, measured.split
    facts = dict(measured.facts)
    for one in trained:
        one.check_source(datamodule.source)
    members, checkpoints = [], []
    for number, one in enumerate(trained, 1):
        used, reason = resolve_precision(
            precision or one.run.config["trainer"]["precision"], accelerator
        )
        which = f" {number}" if len(trained) > 1 else ""
        facts[f"checkpoint{which}"] = checkpoint_text(one.run.path, one.checkpoint)
        facts[f"precision{which}"] = f"{used} ({reason})"
        checkpoints.append({"checkpoint": str(one.checkpoint), "precision": used})
        members.append(
            Member(
                Classifier.load_from_checkpoint(one.checkpoint),
                source_size=datamodule.preprocessing.source_size,
                accelerator=accelerator,
                precision=used,
                has_dense=any(view.is_dense for view in views),
            )
        )
    print_facts(facts)
    rows = rows_of(views, [one.run.label for one in trained])
    batches = getattr(datamodule, f"{split}_dataloader")()
    classes = datamodule.classes
    specs = trained[0].run.config.get("metrics") if metrics is None else metrics
    extras = [SplitMetrics.build(specs or {}, len(classes), classes) for _ in rows]
    outcomes = ImageOutcomes()
    progress = track(
        batches, "evaluating", transient=True, disable=len(batches) == 1 or not sys.stdout.isatty()
    )
    takes_whole = any(view.takes_whole for view in views) and hasattr(
        datamodule, "whole_dataloader"
    )
    whole = datamodule.whole_dataloader(split) if takes_whole else None
    scores = score(rows, members, progress, outcomes, extras, whole)
    found = [{f"{split}/{name}": value for name, value in row.items()} for row in scores]
    if not all(math.isfinite(row["loss"]) for row in scores):
        raise TrainingError(
            f"{', '.join(str(one.checkpoint) for one in trained)}: the scores are not finite: the weights "
            "are not, or overflow; use another checkpoint"
        )
    stem = evaluation_name(measured, trained, is_own_data, precision, metrics)
    folder = trained[0].run.outputs / "evaluations"
    matrices = {f"{stem}_{name}": matrix for name, matrix in extras[-1].matrices.items()}
    write_matrices(folder, matrices, classes, split)
    name = datamodule.source.name
    file = report_scores(folder, stem, name, split, checkpoints, rows, found, len(classes))
    if len(rows) == 1 and is_of_run(trained, is_own_data, precision, metrics):
        file = predictions_file(trained[0].run.outputs, split)
    else:
        file = file.with_name(f"predictions_{file.name}.csv")
    names = datamodule.image_names(split, outcomes.ids_N)
    write_text(file, outcomes.to_csv(classes, names))
    print_facts({"written": f"{file} ({len(names)} images)"})
    return found[-1]

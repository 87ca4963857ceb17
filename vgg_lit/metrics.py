"""The metrics of training and evaluation, and access to those of an epoch at its end.

Shape suffixes: B images per batch, N images of a split, K classes.
"""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from vgg_lit.data.draws import positions
from vgg_lit.data.orders import PADDING
from vgg_lit.errors import ConfigError
from vgg_lit.losses import Objective
from vgg_lit.targets import instantiate, locate

# metric -> k of the top-k accuracy
ACCURACIES = {
    "train": {"acc": 1},
    "val": {"acc": 1, "top5": 5},
    "test": {"acc": 1, "top1": 1, "top2": 2, "top3": 3, "top4": 4, "top5": 5},
}


class MeanLoss(Metric):
    """The mean loss over samples.

    torchmetrics' MeanMetric checks for NaN and so waits for the device. With that check turned off, it
    ignores weights (1.9), and so does not exclude the padding.
    """

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, losses: Tensor, weight: Tensor | float) -> None:
        """Adds losses; each is the mean over `weight` samples, with weight 0 for padding."""
        weighted = losses * weight
        self.total += weighted.sum() if weighted.ndim else weighted
        self.count += weight.sum() if isinstance(weight, Tensor) else weight * losses.numel()

    def compute(self) -> Tensor:
        """The mean."""
        return self.total / self.count


class TopK(Metric):
    """The share of samples whose label is among the k largest logits.

    All top-k metrics of a stage count the same: samples by the rank of their label. Only the first one
    is updated, and the others `follow` it, so that a step ranks the labels once.

    Args:
        k: number of logits; at most `ranks`.
        ranks: number of ranks that are counted.
        has_padding: labels may be PADDING, which is not counted.

    Attributes:
        hits_R: number of samples by rank of their label; 0 is the largest logit. Of equal logits, the
            class with the lower index is first.
        count: number of samples.
    """

    hits_R: Tensor
    count: Tensor

    def __init__(self, k: int, ranks: int, has_padding: bool) -> None:
        super().__init__()
        self.k, self.ranks, self.has_padding = k, ranks, has_padding
        self.add_state("hits_R", torch.zeros(ranks, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, logits_BK: Tensor, labels_B: Tensor) -> None:
        """Adds a batch."""
        if not self.has_padding and self.ranks == 1:
            self.hits_R += (logits_BK.argmax(dim=1) == labels_B).sum()
            self.count += len(labels_B)
            return
        is_sample_B1 = (labels_B != PADDING)[:, None]
        label_B1 = labels_B.clamp(min=0)[:, None]
        own_B1 = logits_BK.gather(1, label_B1)
        is_first_BK = positions(logits_BK.shape[1], logits_BK.device) < label_B1
        # the label itself is behind, and nothing is behind NaN
        is_behind_BK = torch.where(is_first_BK, logits_BK < own_B1, logits_BK <= own_B1)
        rank_B1 = logits_BK.shape[1] - is_behind_BK.sum(dim=1, keepdim=True)
        is_rank_BR = rank_B1 == positions(self.ranks, logits_BK.device)
        self.hits_R += (is_rank_BR & is_sample_B1).sum(dim=0)
        self.count += is_sample_B1.sum()

    def follow(self, leader: "TopK") -> None:
        """Shares the state of a metric of the same stage, without a computation."""
        self.hits_R, self.count = leader.hits_R, leader.count
        self._update_count, self._computed = leader._update_count, None

    def compute(self) -> Tensor:
        """The share; 0 without samples."""
        return self.hits_R[: self.k].sum() / self.count.clamp(min=1)


class ObjectiveLoss(Metric):
    """The mean training loss over the images of a split, where it is not plain cross-entropy."""

    takes_logits = True
    total: Tensor
    count: Tensor

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0.0), dist_reduce_fx="sum")
        self._objective = objective

    def update(self, logits_NK: Tensor, labels_N: Tensor) -> None:
        """Adds images."""
        loss = self._objective(logits_NK, labels_N)
        self.total += self._objective.mean(loss, len(labels_N)) * len(labels_N)
        self.count += len(labels_N)

    def compute(self) -> Tensor:
        """The mean."""
        return self.total / self.count


def build_metrics(num_classes: int) -> nn.ModuleDict:
    """Builds loss and accuracies of all stages, by the names they are logged under."""
    metrics = nn.ModuleDict()
    for stage, accuracies in ACCURACIES.items():
        metrics[f"{stage}/loss"] = MeanLoss()
        ranks = min(max(accuracies.values()), num_classes)
        for name, k in accuracies.items():
            # training has no padding
            metrics[f"{stage}/{name}"] = TopK(min(k, ranks), ranks, has_padding=stage != "train")
    return metrics


def count_batch(
    metrics: nn.ModuleDict, stage: str, logits_BK: Tensor, labels_B: Tensor, losses: Tensor
) -> None:
    """Adds a batch to the metrics of a stage.

    Args:
        metrics: from `build_metrics`.
        stage: "train", "val" or "test".
        logits_BK: logits in float32.
        labels_B: labels; PADDING in padded positions of "val" and "test".
        losses: loss of each sample (B,), or the mean over a full batch.
    """
    weight = (labels_B != PADDING).float() if losses.ndim else float(len(labels_B))
    cast(MeanLoss, metrics[f"{stage}/loss"]).update(losses, weight=weight)
    leader, *others = (cast(TopK, metrics[f"{stage}/{name}"]) for name in ACCURACIES[stage])
    leader.update(logits_BK, labels_B)
    for other in others:
        other.follow(leader)


def build_extra_metrics(
    specs: Mapping[str, Mapping[str, Any] | None], num_classes: int
) -> dict[str, Metric | MetricCollection]:
    """Builds the metrics of the `metrics` group, without those that are null.

    Args:
        specs: `_target_` and arguments of a torchmetrics metric, by name; `num_classes` is added if the
            metric takes it.
        num_classes: number of classes.

    Raises:
        ConfigError: a metric cannot be built, or its name is taken.
    """
    taken = {"loss", "objective_loss"}.union(*ACCURACIES.values())
    metrics: dict[str, Metric | MetricCollection] = {}
    for name, spec in specs.items():
        if spec is None:
            continue
        key = f"metrics.{name}"
        if name in taken or not re.fullmatch(r"[A-Za-z]\w*", name):
            raise ConfigError(
                f"{key}: the name of a metric has letters, digits and _, and is not one of "
                f"{', '.join(sorted(taken))}"
            )
        kind = locate(str(spec.get("_target_")), key=key)
        takes_classes = "num_classes" in inspect.signature(kind).parameters
        options: dict[str, Any] = {}
        if takes_classes and "num_classes" not in spec:
            options["num_classes"] = num_classes
        metric = instantiate(spec, key=key, **options)
        if not isinstance(metric, Metric | MetricCollection):
            raise ConfigError(f"{key}._target_={spec['_target_']}: not a torchmetrics.Metric")
        metrics[name] = metric
    return metrics


class SplitMetrics:
    """Metrics that are computed once at the end of an evaluation, from all images of the split.

    The batches stay on the device, 4 (K + 2) bytes an image, so no step waits. Padding is removed before
    a metric is updated, and each process updates with its own images; torchmetrics merges the processes.

    Args:
        metrics: metrics by name, from `build_extra_metrics`.
        classes: class names by label, for results with one value per class.

    Attributes:
        matrices: the last results with two dimensions, by name.
    """

    def __init__(
        self, metrics: Mapping[str, Metric | MetricCollection], classes: Sequence[str] = ()
    ) -> None:
        self._metrics = dict(metrics)
        self._classes = [re.sub(r"[^\w.-]+", "_", name) for name in classes]
        self._batches: list[tuple[Tensor, Tensor]] = []
        self.matrices: dict[str, Tensor] = {}

    @classmethod
    def build(
        cls,
        specs: Mapping[str, Mapping[str, Any] | None],
        num_classes: int,
        classes: Sequence[str],
        objective: Objective | None = None,
    ) -> "SplitMetrics":
        """Builds the metrics of the `metrics` group and of a loss of logits other than cross-entropy."""
        metrics = build_extra_metrics(specs, num_classes)
        if objective and not (objective.is_cross_entropy or objective.takes_images):
            metrics["objective_loss"] = ObjectiveLoss(objective)
        return cls(metrics, classes)

    def add(self, logits_BK: Tensor, labels_B: Tensor) -> None:
        """Adds a batch of float32 logits and labels."""
        if self._metrics:
            self._batches.append((logits_BK.detach(), labels_B))

    def compute(self) -> dict[str, Tensor]:
        """Returns the scalar results by name, `name/class` for one value per class, and starts again.

        All processes must call it.
        """
        if not self._batches:
            return {}
        logits_NK, labels_N = (torch.cat(parts) for parts in zip(*self._batches, strict=True))
        self._batches = []
        is_sample_N = labels_N != PADDING
        logits_NK, labels_N = logits_NK[is_sample_N], labels_N[is_sample_N]
        found: dict[str, Tensor] = {}
        for name, metric in self._metrics.items():
            metric.to(logits_NK.device).reset()
            if len(labels_N):
                takes_logits = getattr(metric, "takes_logits", False)
                metric.update(logits_NK if takes_logits else logits_NK.softmax(dim=1), labels_N)
            found |= self._named(name, metric.compute())
            metric.reset()
        return found

    def _named(self, name: str, result: Any) -> dict[str, Tensor]:
        if isinstance(result, Mapping):
            parts = [self._named(f"{name}/{key}", value) for key, value in result.items()]
            return {key: value for part in parts for key, value in part.items()}
        result = torch.as_tensor(result).detach().float()
        if result.ndim == 0:
            return {name: result}
        if result.ndim == 1:
            is_by_class = len(result) == len(self._classes)
            keys = self._classes if is_by_class else [str(i) for i in range(len(result))]
            return {f"{name}/{key}": value for key, value in zip(keys, result, strict=True)}
        self.matrices[name] = result
        return {}


def epoch_metrics(trainer: L.Trainer) -> dict[str, float]:
    """The metrics of the current epoch at its end, by name.

    Lightning's `callback_metrics` keep the last validation in epochs without validation
    (`check_val_every_n_epoch`), but not in a resumed run; here such epochs have no validation metrics.
    """
    every = trainer.check_val_every_n_epoch or 1
    is_validated = (trainer.current_epoch + 1) % every == 0
    return {
        name: float(value)
        for name, value in trainer.callback_metrics.items()
        if is_validated or not name.startswith("val/")
    }

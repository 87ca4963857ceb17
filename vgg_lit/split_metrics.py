"""Metrics that are computed once from all images of a split: the `metrics` group, and the training loss.

    metrics = SplitMetrics.build({"f1_macro": {"_target_": "..."}}, num_classes, classes, objective)
    metrics.add(logits_BK, labels_B, x_BCHW)
    metrics.compute()  # {"f1_macro": ..., "objective_loss": ...}

Shape suffixes: B images per batch, N images of a split, C channels, H x W pixels, K classes.
"""

import inspect
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from vgg_lit.data.orders import PADDING
from vgg_lit.errors import ConfigError
from vgg_lit.losses import Objective
from vgg_lit.metrics import ACCURACIES
from vgg_lit.targets import instantiate, locate


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

    def update(self, logits_NK: Tensor, labels_N: Tensor, x_NCHW: Tensor | None = None) -> None:
        """Adds images, without padding; `x_NCHW` is for a loss that takes images."""
        loss = self._objective(logits_NK, labels_N, x_NCHW)
        self.total += self._objective.mean(loss, len(labels_N)) * len(labels_N)
        self.count += len(labels_N)

    def compute(self) -> Tensor:
        """Returns the mean."""
        return self.total / self.count


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


def _class_keys(classes: Sequence[str]) -> list[str]:
    """Returns a different key for each class: its name, with `_` for other signs, and its label if needed."""
    keys = [re.sub(r"[^\w.-]+", "_", name) for name in classes]
    counts = Counter(keys)
    numbered = [f"{key}_{label}" for label, key in enumerate(keys)]
    mixed = [new if counts[key] > 1 else key for key, new in zip(keys, numbered, strict=True)]
    return mixed if len(set(mixed)) == len(mixed) else numbered


class SplitMetrics:
    """Metrics that are computed once at the end of an evaluation, from all images of the split.

    The batches stay on the device, 4 (K + 2) bytes an image, so no step waits. Padding is removed before
    a metric is updated, and each process updates with its own images; torchmetrics merges the processes.
    A loss that takes images is computed in each step, because images are not kept.

    Args:
        metrics: metrics by name, from `build_extra_metrics`.
        classes: class names by label, for results with one value per class.
        image_loss: mean of a loss that takes images.

    Attributes:
        matrices: the last results with two dimensions, by name.
    """

    def __init__(
        self,
        metrics: Mapping[str, Metric | MetricCollection],
        classes: Sequence[str] = (),
        image_loss: ObjectiveLoss | None = None,
    ) -> None:
        self._metrics = dict(metrics)
        self._image_loss = image_loss
        self._classes = _class_keys(classes)
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
        """Builds the metrics of the `metrics` group and of a loss other than cross-entropy."""
        metrics = build_extra_metrics(specs, num_classes)
        image_loss = None
        if objective and objective.takes_images:
            image_loss = ObjectiveLoss(objective)
        elif objective and not objective.is_cross_entropy:
            metrics["objective_loss"] = ObjectiveLoss(objective)
        return cls(metrics, classes, image_loss)

    def add(self, logits_BK: Tensor, labels_B: Tensor, x_BCHW: Tensor | None = None) -> None:
        """Adds a batch of float32 logits and labels; a loss that takes images needs `x_BCHW`."""
        if self._metrics:
            self._batches.append((logits_BK.detach(), labels_B))
        if self._image_loss is not None:
            assert x_BCHW is not None
            # one process has no padding, and on a GPU a mask waits for the device
            if dist.is_initialized() or labels_B.device.type == "cpu":
                is_sample_B = labels_B != PADDING
                logits_BK, labels_B = logits_BK[is_sample_B], labels_B[is_sample_B]
                x_BCHW = x_BCHW[is_sample_B]
            self._image_loss.to(logits_BK.device).update(logits_BK, labels_B, x_BCHW)

    def compute(self) -> dict[str, Tensor]:
        """Returns the scalar results by name, `name/class` for one value per class, and starts again.

        All processes must call it.
        """
        found: dict[str, Tensor] = {}
        if self._image_loss is not None:
            found["objective_loss"] = self._image_loss.compute()
            self._image_loss.reset()
        if not self._batches:
            return found
        logits_NK, labels_N = (torch.cat(parts) for parts in zip(*self._batches, strict=True))
        self._batches = []
        is_sample_N = labels_N != PADDING
        logits_NK, labels_N = logits_NK[is_sample_N], labels_N[is_sample_N]
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

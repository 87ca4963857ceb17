"""Scores of trained networks with the paper's test protocols: several views, dense networks, fusion.

    rows = rows_of((Views(flip=True),), ["my_run"])        # the single view, then flip averaging
    members = [Member(classifier, source_size=28)]
    single, flipped = score(rows, members, datamodule.test_dataloader())

All averages are over class posteriors, after the softmax. Posteriors are stored as logarithms, so that
the loss stays finite when a probability underflows.

Shape suffixes: B images, C channels, H x W pixels, K classes, R ranks.

Source: Simonyan & Zisserman 2015, sections 3.2 and 4.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from lightning.fabric import Fabric
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from vgg_lit.classifier import Classifier
from vgg_lit.data.batches import Batch
from vgg_lit.data.orders import PADDING
from vgg_lit.data.preprocessing import Preprocessing
from vgg_lit.data.rectangles import Rectangles
from vgg_lit.evaluation.image_outcomes import ImageOutcomes
from vgg_lit.evaluation.views import Views, describe_views
from vgg_lit.models.dense import DenseVGG
from vgg_lit.split_metrics import SplitMetrics

RANKS = range(1, 6)
"""The values of k for the top-k accuracies."""


class Member:
    """A trained network on its device, with the input it was trained on.

    Args:
        classifier: the network; its weights are moved and cast in place.
        source_size: side of the source images, pixels.
        accelerator: device type in Lightning's terms.
        precision: precision in Lightning's terms.
        has_dense: True builds the dense form too, for dense views.

    Raises:
        InputError: the network has no dense form.
    """

    def __init__(
        self,
        classifier: Classifier,
        source_size: int,
        accelerator: str = "auto",
        precision: str = "32-true",
        has_dense: bool = False,
    ) -> None:
        trained_with = Preprocessing.from_dict(classifier.preprocessing)
        self._preprocessing = replace(trained_with, source_size=source_size)
        fabric = Fabric(accelerator=accelerator, devices=1, precision=precision)  # type: ignore[arg-type]
        self.device = fabric.device
        self._net = fabric.setup_module(classifier.net)
        # shares the weights, which must be on the device and cast by now
        self._dense = fabric.setup_module(DenseVGG(classifier.net)) if has_dense else None

    def log_posterior(self, images: Tensor | Rectangles, views: Views) -> Tensor:
        """Returns the logarithm of the weighted mean class posterior (B, K) over views of uint8 images."""
        if isinstance(images, Rectangles):
            # a batch for each shape
            parts = [(at, self.log_posterior(part, views)) for at, part in images.of_one_shape()]
            order = torch.cat([at for at, _ in parts]).argsort()
            return torch.cat([posterior_BK for _, posterior_BK in parts])[order]
        net = self._dense if views.is_dense else self._net
        assert net is not None, "dense views need has_dense=True"
        # one view at a time, so that memory does not grow with their number
        sum_BK, count = None, 0
        for x_BCHW, weight in views.weighted(images, self._preprocessing):
            logits_BK = net(x_BCHW.contiguous(memory_format=torch.channels_last))
            view_BK = logits_BK.float().log_softmax(dim=1)
            if weight != 1:
                view_BK = view_BK + math.log(weight)
            sum_BK = view_BK if sum_BK is None else sum_BK.logaddexp(view_BK)
            count += weight
        assert sum_BK is not None
        return sum_BK - math.log(count)


@dataclass(frozen=True)
class Row:
    """One evaluation: the mean class posterior of networks, each over the same sets of views.

    Attributes:
        network: name of the run, or of the fusion.
        members: positions of the networks; several form a fusion.
        views: sets of views; their mean posteriors have equal weights.
    """

    network: str
    members: tuple[int, ...]
    views: tuple[Views, ...]

    @property
    def label(self) -> str:
        """The name of the views in a table."""
        return describe_views(self.views)


def rows_of(asked: Sequence[Views], networks: Sequence[str]) -> list[Row]:
    """Returns rows for the single view, each requested set of views, and all sets together.

    There is a row for each network and, with several networks, for their fusion. The last row is the
    requested one.
    """
    averages = dict.fromkeys([(Views(),), *((views,) for views in asked), tuple(asked)])
    teams: list[tuple[str, tuple[int, ...]]] = [(name, (m,)) for m, name in enumerate(networks)]
    if len(networks) > 1:
        teams.append((f"fusion of {len(networks)}", tuple(range(len(networks)))))
    return [Row(name, members, views) for views in averages for name, members in teams]


class Scores(Metric):
    """Mean loss and top-1 ... top-5 accuracies of class posteriors, without padding."""

    loss: Tensor
    hits_R: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("loss", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("hits_R", torch.zeros(len(RANKS)), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, log_posterior_BK: Tensor, labels_B: Tensor) -> None:
        """Adds a batch; samples with the label PADDING are ignored."""
        losses_B = F.nll_loss(log_posterior_BK, labels_B, ignore_index=PADDING, reduction="none")
        self.loss += losses_B.sum()
        # stable, so that ties have the same order on every device; no class index equals PADDING
        ranking_BK = log_posterior_BK.argsort(dim=1, descending=True, stable=True)
        is_hit_BK = ranking_BK == labels_B[:, None]
        self.hits_R += torch.stack([is_hit_BK[:, :k].sum() for k in RANKS])
        self.count += (labels_B != PADDING).sum()

    def compute(self) -> dict[str, Tensor]:
        """Returns `loss`, `acc` (equal to `top1`) and `top1` ... `top5` as fractions in 0..1."""
        accuracies_R = self.hits_R / self.count
        by_rank = {f"top{k}": accuracies_R[i] for i, k in enumerate(RANKS)}
        return {"loss": self.loss / self.count, "acc": by_rank["top1"], **by_rank}


def score(
    rows: Sequence[Row],
    members: Sequence[Member],
    batches: Iterable[Batch],
    outcomes: ImageOutcomes | None = None,
    extras: Sequence[SplitMetrics] = (),
    whole: Iterable[Batch] | None = None,
) -> list[dict[str, float]]:
    """Returns the scores of each row in one pass over raw batches; shared posteriors are computed once.

    Args:
        rows: evaluations; the last one is the requested one.
        members: networks of the rows.
        batches: raw batches of a split.
        outcomes: receives the outcome of each image in the last row; None: not collected.
        extras: more metrics of each row, which receive the log posterior as logits; empty: none.
        whole: the same batches as `Rectangles`, for the views that lie anywhere in an image; None: they
            lie in the images of `batches`.
    """
    device = members[0].device
    extras = extras or [SplitMetrics({}) for _ in rows]
    scores = [Scores().to(device) for _ in rows]
    asked = dict.fromkeys((m, views) for row in rows for m in row.members for views in row.views)
    with torch.inference_mode():
        pairs = zip(batches, whole, strict=True) if whole else ((batch, batch) for batch in batches)
        for (images_BCHW, labels_B, ids_B), (anywhere, *_) in pairs:
            images_BCHW, labels_B = images_BCHW.to(device), labels_B.to(device)
            anywhere = anywhere.to(device)
            found = {
                (m, views): members[m].log_posterior(
                    anywhere if views.takes_whole else images_BCHW, views
                )
                for m, views in asked
            }
            for row, metric, more in zip(rows, scores, extras, strict=True):
                means_BK = log_mean([found[m, views] for m in row.members for views in row.views])
                metric.update(means_BK, labels_B)
                more.add(means_BK, labels_B)
            if outcomes is not None:
                outcomes.update(means_BK, labels_B, ids_B)
        results = [
            metric.compute() | more.compute() for metric, more in zip(scores, extras, strict=True)
        ]
    return [{name: float(value) for name, value in found.items()} for found in results]


def log_mean(log_posteriors: Sequence[Tensor]) -> Tensor:
    """Returns the logarithm of the mean posterior from log posteriors."""
    return torch.stack(list(log_posteriors)).logsumexp(dim=0) - math.log(len(log_posteriors))

"""What exchanging gradients costs, from bytes and link speeds: ring, hierarchy, overlap with the backward.

    gradients = gradients_of("vgg16", "imagenet", image_size=224)
    step = step_seconds(gradients, seconds=0.05, gpus=64, cluster=INFINIBAND, algorithm="hierarchical")

The model: every GPU has as many images whatever their number, so a step's arithmetic takes as long as
on one. The backward goes through the layers from the last to the first, each in the share of time that
its multiply-adds are of all. Gradients are sent in DDP's buckets, one after another, each once it is
complete; a step ends with its backward or with its last bucket, whichever is later.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from vgg_lit.analysis.complexity import measure
from vgg_lit.models import build

Algorithm = Literal["ring", "hierarchical"]

FIRST_BUCKET, BUCKET = 1 << 20, 25 << 20
"""Bytes at which DDP closes its first bucket, and those that follow."""

FORWARD_SHARE = 1 / 3
"""Of a step's arithmetic; the backward has a product for the input's gradient and one for the weights'."""


@dataclass(frozen=True)
class Link:
    """One direction of a connection.

    Attributes:
        bandwidth: bytes a second.
        latency: seconds until a message's first byte arrives.
    """

    bandwidth: float
    latency: float


@dataclass(frozen=True)
class Cluster:
    """Machines of the same kind.

    Attributes:
        name: as tables show it.
        gpus_per_node: in a machine.
        within: a GPU's connection to the others of its machine.
        between: one network card's connection to other machines.
        cards_per_node: network cards in a machine.
    """

    name: str
    gpus_per_node: int
    within: Link
    between: Link
    cards_per_node: int


@dataclass(frozen=True)
class Bucket:
    """Gradients that are sent together.

    Attributes:
        size: bytes.
        ready: the share of the backward's time after which they are complete.
    """

    size: float
    ready: float


@dataclass(frozen=True)
class Gradients:
    """Of a network.

    Attributes:
        parameters: all of them.
        head_parameters: those of the fully connected layers.
        macs: multiply-adds of one image's forward pass.
        head_macs: those of the fully connected layers.
        buckets: in the order in which they are sent.
    """

    parameters: int
    head_parameters: int
    macs: int
    head_macs: int
    buckets: tuple[Bucket, ...]

    @property
    def size(self) -> float:
        """Bytes that are sent."""
        return sum(bucket.size for bucket in self.buckets)

    @property
    def in_bf16(self) -> "Gradients":
        """The same, compressed: buckets are closed by their bytes in fp32."""
        buckets = tuple(Bucket(bucket.size / 2, bucket.ready) for bucket in self.buckets)
        return replace(self, buckets=buckets)


def gradients_of(variant: str, head: str, image_size: int, width: float = 1.0) -> Gradients:
    """What a network with 1,000 classes sends in a step.

    Args:
        variant: of the paper.
        head: `imagenet` or `gap`.
        image_size: side of the images.
        width: factor on the channels.
    """
    with torch.device("meta"):
        net = build(variant, head=head, image_size=image_size, width=width, in_channels=3)
    layers = measure(net, (3, image_size, image_size)).layers
    macs = sum(layer.macs for layer in layers)
    head_layers = [layer for layer in layers if layer.block == "head"]
    buckets, waiting, done = [], 0, 0
    for layer in reversed(layers):
        done += layer.macs
        waiting += 4 * layer.parameters
        if waiting >= (BUCKET if buckets else FIRST_BUCKET) or layer is layers[0]:
            buckets.append(Bucket(waiting, done / macs))
            waiting = 0
    return Gradients(
        parameters=sum(layer.parameters for layer in layers),
        head_parameters=sum(layer.parameters for layer in head_layers),
        macs=macs,
        head_macs=sum(layer.macs for layer in head_layers),
        buckets=tuple(buckets),
    )


def ring_seconds(size: float, members: int, link: Link) -> float:
    """An all-reduce around a ring: each member sends all but its own part of `size` bytes, twice.

    2 (n - 1) messages one after another, of size / n each.
    """
    return 2 * (members - 1) * (size / members / link.bandwidth + link.latency)


def all_reduce_seconds(size: float, gpus: int, cluster: Cluster, algorithm: Algorithm) -> float:
    """An all-reduce of `size` bytes over GPUs of a cluster.

    One ring over all GPUs passes from machine to machine through one network card each. The hierarchy
    first adds up within each machine, every GPU a part of its own; then the parts of the same place in
    all machines, through all network cards at a time; then passes the sums on within each machine.
    """
    if gpus <= cluster.gpus_per_node:
        return ring_seconds(size, gpus, cluster.within)
    if algorithm == "ring":
        return ring_seconds(size, gpus, cluster.between)
    local, nodes = cluster.gpus_per_node, gpus // cluster.gpus_per_node
    of_each_gpu = Link(
        cluster.between.bandwidth * cluster.cards_per_node / local, cluster.between.latency
    )
    return ring_seconds(size, local, cluster.within) + ring_seconds(
        size / local, nodes, of_each_gpu
    )


def step_seconds(
    gradients: Gradients, seconds: float, gpus: int, cluster: Cluster, algorithm: Algorithm
) -> float:
    """A training step on many GPUs.

    Args:
        gradients: that are sent.
        seconds: of a step on one GPU.
        gpus: their number.
        cluster: they are of.
        algorithm: of the all-reduce.
    """
    sent = 0.0
    for bucket in gradients.buckets:
        ready = seconds * (FORWARD_SHARE + (1 - FORWARD_SHARE) * bucket.ready)
        sent = max(ready, sent) + all_reduce_seconds(bucket.size, gpus, cluster, algorithm)
    return max(seconds, sent) if gpus > 1 else seconds


def arithmetic_seconds(macs: int, batch: int, rate: float) -> float:
    """A training step's arithmetic: a multiply-add is two operations, the backward twice the forward.

    Args:
        macs: of one image's forward pass.
        batch: images.
        rate: operations a second that are reached.
    """
    return 2 * macs * batch / FORWARD_SHARE / rate


def fit_link(sizes: Sequence[float], seconds: Sequence[float], members: int = 2) -> Link:
    """The link with which a ring takes these times: the straight line through the first and the last."""
    slope = (seconds[-1] - seconds[0]) / (sizes[-1] - sizes[0])
    start = max(0.0, seconds[0] - slope * sizes[0])
    steps = 2 * (members - 1)
    return Link(bandwidth=steps / members / slope, latency=start / steps)

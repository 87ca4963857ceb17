"""A cost model of gradient all-reduce from bytes and link speeds: ring, hierarchy, overlap.

    gradients = gradients_of("vgg16", "imagenet", image_size=224)
    step = step_seconds(gradients, seconds=0.05, gpus=64, cluster=INFINIBAND, algorithm="hierarchical")

The model: the number of images per GPU is constant, so a step's arithmetic takes as long as on one
GPU. The backward visits the layers from last to first; the time of a layer is proportional to its
multiply-adds. Gradients are sent in DDP's buckets, one after another, each as soon as it is complete.
A step ends with its backward or with its last bucket, whichever is later.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from vgg_lit.analysis.complexity import measure
from vgg_lit.models import build

Algorithm = Literal["ring", "hierarchical"]

FIRST_BUCKET, BUCKET = 1 << 20, 25 << 20
"""Bytes at which DDP closes its first bucket and later buckets."""

FORWARD_SHARE = 1 / 3
"""The forward's share of a step; the backward has two products, for input and weight gradients."""


@dataclass(frozen=True)
class Link:
    """One direction of a connection.

    Attributes:
        bandwidth: bytes per second.
        latency: seconds until a message's first byte arrives.
    """

    bandwidth: float
    latency: float


@dataclass(frozen=True)
class Cluster:
    """Machines of the same kind.

    Attributes:
        name: name of the cluster.
        gpus_per_node: number of GPUs per machine.
        within: link from a GPU to the other GPUs of its machine.
        between: link from one network card to other machines.
        cards_per_node: number of network cards per machine.
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
        size: size in bytes.
        ready: share of the backward's time after which they are complete.
    """

    size: float
    ready: float


@dataclass(frozen=True)
class Gradients:
    """The gradients and multiply-adds of a network.

    Attributes:
        parameters: number of parameters.
        head_parameters: number of parameters of the fully connected layers.
        macs: multiply-adds of one image's forward pass.
        head_macs: multiply-adds of the fully connected layers.
        buckets: gradient buckets, in the order in which they are sent.
    """

    parameters: int
    head_parameters: int
    macs: int
    head_macs: int
    buckets: tuple[Bucket, ...]

    @property
    def size(self) -> float:
        """Total size of the buckets in bytes."""
        return sum(bucket.size for bucket in self.buckets)

    @property
    def in_bf16(self) -> "Gradients":
        """The gradients in bf16, half the bytes; bucket boundaries are those of fp32."""
        buckets = tuple(Bucket(bucket.size / 2, bucket.ready) for bucket in self.buckets)
        return replace(self, buckets=buckets)


def gradients_of(variant: str, head: str, image_size: int, width: float = 1.0) -> Gradients:
    """Returns the gradients that a network with 1,000 classes sends in a step.

    Args:
        variant: VGG variant, such as `vgg16`.
        head: `imagenet` or `gap`.
        image_size: side of the images, pixels.
        width: factor on the number of channels.
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
    """Returns the time of a ring all-reduce: 2 (n - 1) messages in sequence, of size / n each.

    Each member sends all of the `size` bytes except its own part, twice.
    """
    return 2 * (members - 1) * (size / members / link.bandwidth + link.latency)


def all_reduce_seconds(size: float, gpus: int, cluster: Cluster, algorithm: Algorithm) -> float:
    """Returns the time of an all-reduce of `size` bytes over GPUs of a cluster.

    A single ring over all GPUs uses one network card per machine. The hierarchical algorithm has
    three phases: a reduce-scatter within each machine, so that each GPU holds the sum of one part; an
    all-reduce of each part between machines, over all network cards in parallel; an all-gather
    within each machine.
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
    """Returns the time of a training step on many GPUs.

    Args:
        gradients: gradients that are sent.
        seconds: time of a step on one GPU.
        gpus: number of GPUs.
        cluster: cluster of the GPUs.
        algorithm: all-reduce algorithm.
    """
    sent = 0.0
    for bucket in gradients.buckets:
        ready = seconds * (FORWARD_SHARE + (1 - FORWARD_SHARE) * bucket.ready)
        sent = max(ready, sent) + all_reduce_seconds(bucket.size, gpus, cluster, algorithm)
    return max(seconds, sent) if gpus > 1 else seconds


def arithmetic_seconds(macs: int, batch: int, rate: float) -> float:
    """Returns the arithmetic time of a training step.

    A multiply-add counts as two operations, and the backward as twice the forward.

    Args:
        macs: multiply-adds of one image's forward pass.
        batch: number of images.
        rate: achieved operations per second.
    """
    return 2 * macs * batch / FORWARD_SHARE / rate


def fit_link(sizes: Sequence[float], seconds: Sequence[float], members: int = 2) -> Link:
    """Fits a link to measured ring times, by the line through the first and the last."""
    slope = (seconds[-1] - seconds[0]) / (sizes[-1] - sizes[0])
    start = max(0.0, seconds[0] - slope * sizes[0])
    steps = 2 * (members - 1)
    return Link(bandwidth=steps / members / slope, latency=start / steps)
